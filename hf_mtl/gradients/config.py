# SPDX-License-Identifier: Apache-2.0
"""The direction with equal angles to all gradients, as long as they agree."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext
from hf_mtl.gradients.gramians import cosines
from hf_mtl.gradients.memoryless import MemorylessMethod
from hf_mtl.gradients.unit_gradients import equal_projections

__all__ = ["ConFIG"]


@GRADIENT_METHODS.register("config")
@final
@dataclass(frozen=True)
class ConFIG(MemorylessMethod):
    """Follows the direction that has the same angle to every gradient; long where these agree.

    The direction is that of IMTL-G. Its length is the sum of the projections of all gradients, so
    that steps shrink where tasks are in conflict, and never turn around. Choose it where losses are
    of different kinds and no task may get worse.

    Example:
        >>> import torch
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 9.0]]).double()
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> weights, _ = ConFIG().weights(gramian, torch.tensor([0, 1]), {}, context)
        >>> [round(w, 6) for w in weights.tolist()]  # gradients of length 2 from those of 1 and 3
        [2.0, 0.666667]

    Source:
        Liu et al. 2024, "ConFIG: Towards Conflict-free Training of Physics Informed Neural
        Networks", equation 2, https://arxiv.org/abs/2408.11104. The length is theirs divided by the
        number of tasks. With preferences, cosines are in proportion to them.
    """

    cancels_scale: ClassVar[bool] = True
    uses_preferences: ClassVar[bool] = True
    never_conflicts: ClassVar[bool] = True

    def solve(self, gramian: Tensor, context: GradientContext) -> Tensor:
        angles, lengths = cosines(gramian)
        units = equal_projections(gramian, context.preferences)
        # Projections are divided by the length of the sum of units twice: for the projection, and
        # because that sum is made as long as they are.
        projections = angles @ units
        return (lengths @ projections) / (units @ projections) * units / lengths
