# SPDX-License-Identifier: Apache-2.0
"""The weighted mean of the gradients that advances equally far along each of them."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext
from hf_mtl.gradients.gramians import NoSolutionError, cosines
from hf_mtl.gradients.memoryless import MemorylessMethod
from hf_mtl.gradients.unit_gradients import equal_projections

__all__ = ["IMTLG"]


@GRADIENT_METHODS.register("imtl_g")
@final
@dataclass(frozen=True)
class IMTLG(MemorylessMethod):
    """Follows the weighted mean of the gradients whose projections onto all of them are equal.

    The length of a gradient, and so the scale of its loss, has no influence on the direction.
    Choose it where losses are of different kinds. Weights can be negative, and large where
    gradients nearly cancel out.

    Example:
        >>> import torch
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 9.0]]).double()
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> weights, _ = IMTLG().weights(gramian, torch.tensor([0, 1]), {}, context)
        >>> [round(w, 6) for w in weights.tolist()]  # in inverse proportion to lengths 1 and 3
        [1.5, 0.5]

    Source:
        Liu et al. 2021, "Towards Impartial Multi-task Learning", section 3.1,
        https://openreview.net/forum?id=IMPnRXEWpvr. Its weights add up to 1, these to the number of
        tasks; or to its negative, where all projections would be negative, and all losses rise.
        Linearly dependent gradients, which it leaves open, have the least squares solution for
        gradients of length 1. With preferences, projections are in proportion to them.
    """

    cancels_scale: ClassVar[bool] = True
    uses_preferences: ClassVar[bool] = True
    never_conflicts: ClassVar[bool] = True

    def solve(self, gramian: Tensor, context: GradientContext) -> Tensor:
        _, lengths = cosines(gramian)
        weights = equal_projections(gramian, context.preferences) / lengths
        total = weights.sum().abs()
        if float(total) <= 1e-9 * float(weights.abs().sum()):
            raise NoSolutionError("weights with equal projections add up to 0")
        return len(weights) * weights / total
