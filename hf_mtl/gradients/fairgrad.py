# SPDX-License-Identifier: Apache-2.0
"""The direction whose progress is divided fairly among the tasks."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from hf_mtl._numbers import check_positive
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext
from hf_mtl.gradients.fair_equation import fair_weights
from hf_mtl.gradients.gramians import relative
from hf_mtl.gradients.memoryless import MemorylessMethod

__all__ = ["FairGrad"]


@GRADIENT_METHODS.register("fairgrad")
@final
@dataclass(frozen=True)
class FairGrad(MemorylessMethod):
    """Divides progress among tasks as a network divides bandwidth: alpha-fair.

    Choose it to set between the mean of the gradients and the worst task: a weight is inverse to
    the power ``alpha`` of the progress.

    Args:
        alpha: How much the tasks with little progress count, above 0: near 0 the direction is the
            mean, 1 is Nash-MTL, and the larger it is the more equal is the progress.

    Raises:
        ValueError: If ``alpha`` is not positive.

    Example:
        >>> import torch
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 8.0]]).double()
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> weights, _ = FairGrad().weights(gramian, torch.tensor([0, 1]), {}, context)
        >>> [round(w / weights[1].item(), 6) for w in weights.tolist()]
        [4.0, 1.0]

    Source:
        Ban and Ji 2024, "Fair Resource Allocation in Multi-Task Learning", equation 4 with the
        ``alpha`` of the authors' code, https://arxiv.org/abs/2402.15638, solved by Newton's method.
        Gradients are divided by their root mean square length first, so that the length of the
        direction is in proportion to them. With preferences, these are factors of the utilities.
    """

    uses_preferences: ClassVar[bool] = True
    never_conflicts: ClassVar[bool] = True

    alpha: float = 2.0

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)

    @property
    def cancels_scale(self) -> bool:  # type: ignore[override]  # a matter of the field
        """Whether it is Nash-MTL."""
        return self.alpha == 1

    def solve(self, gramian: Tensor, context: GradientContext) -> Tensor:
        return fair_weights(gramian, relative(context.preferences), self.alpha)
