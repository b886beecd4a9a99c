# SPDX-License-Identifier: Apache-2.0
"""Which direction the shared parameters take in a step: the gradient methods, one file each."""

from hf_mtl.gradients.aligned_mtl import AlignedMTL
from hf_mtl.gradients.base import (
    GRADIENT_METHODS,
    GradientContext,
    GradientMethod,
    GramianMethod,
    State,
)
from hf_mtl.gradients.cagrad import CAGrad
from hf_mtl.gradients.config import ConFIG
from hf_mtl.gradients.cr_mogm import CRMOGM
from hf_mtl.gradients.dual_proj import DualProj
from hf_mtl.gradients.fairgrad import FairGrad
from hf_mtl.gradients.gradnorm import GradNorm
from hf_mtl.gradients.gradvac import GradVac
from hf_mtl.gradients.imtl_g import IMTLG
from hf_mtl.gradients.mean import Mean
from hf_mtl.gradients.memoryless import MemorylessMethod
from hf_mtl.gradients.mgda import MGDA
from hf_mtl.gradients.nash_mtl import NashMTL
from hf_mtl.gradients.pcd import PCD
from hf_mtl.gradients.pcgrad import PCGrad
from hf_mtl.gradients.upgrad import UPGrad

__all__ = [
    "AlignedMTL",
    "CAGrad",
    "CRMOGM",
    "ConFIG",
    "DualProj",
    "FairGrad",
    "GRADIENT_METHODS",
    "GradNorm",
    "GradVac",
    "GradientContext",
    "GradientMethod",
    "GramianMethod",
    "IMTLG",
    "MGDA",
    "Mean",
    "MemorylessMethod",
    "NashMTL",
    "PCD",
    "PCGrad",
    "State",
    "UPGrad",
]
