# SPDX-License-Identifier: Apache-2.0
"""How much each loss counts in a step: the weightings, one file each."""

from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext
from hf_mtl.weighting.dwa import DWAWeighting
from hf_mtl.weighting.ema import EMAWeighting
from hf_mtl.weighting.famo import FAMOWeighting
from hf_mtl.weighting.gls import GLSWeighting
from hf_mtl.weighting.go4align import GO4AlignWeighting
from hf_mtl.weighting.imtl_l import IMTLLWeighting
from hf_mtl.weighting.lbtw import LBTWWeighting
from hf_mtl.weighting.ldc import LDCWeighting
from hf_mtl.weighting.learned import LearnedWeighting
from hf_mtl.weighting.rlw import RLWWeighting
from hf_mtl.weighting.scale_invariant import ScaleInvariantWeighting
from hf_mtl.weighting.static import StaticWeighting
from hf_mtl.weighting.stch import STCHWeighting
from hf_mtl.weighting.uncertainty import UncertaintyWeighting
from hf_mtl.weighting.validation_loss import ValidationLossWeighting

__all__ = [
    "DWAWeighting",
    "EMAWeighting",
    "FAMOWeighting",
    "GLSWeighting",
    "GO4AlignWeighting",
    "IMTLLWeighting",
    "LBTWWeighting",
    "LDCWeighting",
    "LearnedWeighting",
    "RLWWeighting",
    "STCHWeighting",
    "ScaleInvariantWeighting",
    "State",
    "StaticWeighting",
    "UncertaintyWeighting",
    "ValidationLossWeighting",
    "WEIGHTINGS",
    "Weighting",
    "WeightingContext",
]
