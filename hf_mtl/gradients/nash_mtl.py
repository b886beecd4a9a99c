# SPDX-License-Identifier: Apache-2.0
"""The direction on which tasks would agree if they bargained."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext
from hf_mtl.gradients.fair_equation import fair_weights
from hf_mtl.gradients.gramians import relative
from hf_mtl.gradients.memoryless import MemorylessMethod

__all__ = ["NashMTL"]


@GRADIENT_METHODS.register("nash_mtl")
@final
@dataclass(frozen=True)
class NashMTL(MemorylessMethod):
    """Follows the direction with the largest product of the tasks' progress (Nash bargaining).

    No direction of that length would raise the progress of some tasks by more percent than it
    lowers that of others. The scale of losses does not matter. Choose it as a default for losses of
    different kinds; where tasks hardly agree, weights become large.

    Example:
        >>> import torch
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 9.0]]).double()
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> weights, _ = NashMTL().weights(gramian, torch.tensor([0, 1]), {}, context)
        >>> [round(w / weights[1].item(), 6) for w in weights.tolist()]
        [3.0, 1.0]

    Source:
        Navon et al. 2022, "Multi-Task Learning as a Bargaining Game", claim 3.1,
        https://arxiv.org/abs/2202.01017, solved by Newton's method, not by a sequence of convex
        programs. Gradients are divided by their root mean square length first, which the direction
        of the paper does not depend on, and its length does: it has the same length in every step,
        this one is in proportion to the gradients. With preferences, powers in the product.
    """

    cancels_scale: ClassVar[bool] = True
    uses_preferences: ClassVar[bool] = True
    never_conflicts: ClassVar[bool] = True

    def solve(self, gramian: Tensor, context: GradientContext) -> Tensor:
        return fair_weights(gramian, relative(context.preferences), alpha=1.0)
