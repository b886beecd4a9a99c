# SPDX-License-Identifier: Apache-2.0
"""How much each loss counts in a step: the weightings, one file each."""

from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext
from hf_mtl.weighting.learned import LearnedWeighting
from hf_mtl.weighting.scale_invariant import ScaleInvariantWeighting
from hf_mtl.weighting.static import StaticWeighting
from hf_mtl.weighting.uncertainty import UncertaintyWeighting

__all__ = [
    "WEIGHTINGS",
    "LearnedWeighting",
    "ScaleInvariantWeighting",
    "State",
    "StaticWeighting",
    "UncertaintyWeighting",
    "Weighting",
    "WeightingContext",
]
