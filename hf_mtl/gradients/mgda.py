# SPDX-License-Identifier: Apache-2.0
"""The shortest mean of the gradients."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final, get_args

import torch
from torch import Tensor

from hf_mtl._checks import check_known
from hf_mtl._losses import positive
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext
from hf_mtl.gradients.gramians import cosines
from hf_mtl.gradients.memoryless import MemorylessMethod
from hf_mtl.gradients.quadratic_program import gramian_root, unscaled_multipliers

__all__ = ["MGDA"]

Normalization = Literal["none", "l2", "loss", "loss+"]


@GRADIENT_METHODS.register("mgda")
@final
@dataclass(frozen=True)
class MGDA(MemorylessMethod):
    """Follows the shortest weighted mean of the gradients, which makes equal progress on all tasks.

    A task whose gradient is short, or at odds with the others, decides the direction. Choose it
    where no task may get worse; steps become small where tasks compete.

    Args:
        normalization: What gradients are divided by first: ``none``; ``l2``, their length, so that
            long ones do not count less; ``loss``, the loss of the task; ``loss+``, both.

    Raises:
        KeyError: If ``normalization`` is none of these.

    Example:
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 3.0]]).double()
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> weights, _ = MGDA().weights(gramian, torch.tensor([0, 1]), {}, context)
        >>> [round(w, 6) for w in weights.tolist()]
        [1.5, 0.5]

    Source:
        Désidéri 2012, "Multiple-gradient descent algorithm (MGDA) for multiobjective optimization";
        Sener and Koltun 2018, "Multi-Task Learning as Multi-Objective Optimization",
        https://arxiv.org/abs/1810.04650, whose program is solved exactly here, not by Frank-Wolfe.
        Its weights add up to 1, these to the number of tasks; normalized gradients are used for the
        direction too. With preferences, gradients are divided by them, so that progress is in
        proportion to preference.
    """

    uses_preferences: ClassVar[bool] = True
    never_conflicts: ClassVar[bool] = True

    normalization: Normalization = "none"

    def __post_init__(self) -> None:
        check_known("normalization", self.normalization, get_args(Normalization))

    @property
    def cancels_scale(self) -> bool:  # type: ignore[override]  # a matter of the field
        """Whether lengths are divided out."""
        return self.normalization in ("l2", "loss+")

    def solve(self, gramian: Tensor, context: GradientContext) -> Tensor:
        divisors = self._divisors(gramian, context) * context.preferences
        # Rows of length 1 at most, for the solver; a common factor of the divisors does no harm.
        divisors = divisors * (gramian.diagonal().sqrt() / divisors).max()
        gradients = gramian_root(gramian / divisors.outer(divisors))
        shares, _ = unscaled_multipliers(gradients, torch.ones_like(divisors))
        weights = shares / divisors
        return len(weights) * weights / weights.sum()

    def _divisors(self, gramian: Tensor, context: GradientContext) -> Tensor:
        _, lengths = cosines(gramian)
        losses = positive(context.losses)
        by_name = {
            "none": torch.ones_like(lengths),
            "l2": lengths,
            "loss": losses,
            "loss+": losses * lengths,
        }
        return by_name[self.normalization]
