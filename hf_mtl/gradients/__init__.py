# SPDX-License-Identifier: Apache-2.0
"""Which direction the shared parameters take in a step: the gradient methods, one file each."""

from hf_mtl.gradients.aligned_mtl import AlignedMTL
from hf_mtl.gradients.auto_lambda import AutoLambda
from hf_mtl.gradients.base import (
    GRADIENT_METHODS,
    GradientContext,
    GradientMethod,
    GramianMethod,
    SeveralBatchesMethod,
    State,
)
from hf_mtl.gradients.cagrad import CAGrad
from hf_mtl.gradients.config import ConFIG
from hf_mtl.gradients.cr_mogm import CRMOGM
from hf_mtl.gradients.cross_batch import CrossBatchMethod
from hf_mtl.gradients.db_mtl import DBMTL
from hf_mtl.gradients.dual_proj import DualProj
from hf_mtl.gradients.excess_mtl import ExcessMTL
from hf_mtl.gradients.fairgrad import FairGrad
from hf_mtl.gradients.graddrop import GradDrop
from hf_mtl.gradients.gradnorm import GradNorm
from hf_mtl.gradients.gradvac import GradVac
from hf_mtl.gradients.imtl_g import IMTLG
from hf_mtl.gradients.jacobian import ElementwiseMethod, Tracked, TrackingMethod
from hf_mtl.gradients.mean import Mean
from hf_mtl.gradients.memoryless import MemorylessMethod
from hf_mtl.gradients.mgda import MGDA
from hf_mtl.gradients.moco import MoCo
from hf_mtl.gradients.modo import MoDo
from hf_mtl.gradients.nash_mtl import NashMTL
from hf_mtl.gradients.pcd import PCD
from hf_mtl.gradients.pcgrad import PCGrad
from hf_mtl.gradients.sdmgrad import SDMGrad
from hf_mtl.gradients.upgrad import UPGrad

__all__ = [
    "AlignedMTL",
    "AutoLambda",
    "CAGrad",
    "CRMOGM",
    "ConFIG",
    "CrossBatchMethod",
    "DBMTL",
    "DualProj",
    "ElementwiseMethod",
    "ExcessMTL",
    "FairGrad",
    "GRADIENT_METHODS",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "GradientContext",
    "GradientMethod",
    "GramianMethod",
    "IMTLG",
    "MGDA",
    "Mean",
    "MoCo",
    "MemorylessMethod",
    "MoDo",
    "NashMTL",
    "PCD",
    "PCGrad",
    "SDMGrad",
    "SeveralBatchesMethod",
    "State",
    "Tracked",
    "TrackingMethod",
    "UPGrad",
]
