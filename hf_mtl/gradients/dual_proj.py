# SPDX-License-Identifier: Apache-2.0
"""The mean of the gradients, freed of its conflicts with all of them."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._numbers import check_not_negative
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext
from hf_mtl.gradients.dual_cone import project_onto_dual_cone
from hf_mtl.gradients.memoryless import MemorylessMethod

__all__ = ["DualProj"]


@GRADIENT_METHODS.register("dual_proj")
@final
@dataclass(frozen=True)
class DualProj(MemorylessMethod):
    """Follows the direction nearest to the mean of the gradients along which no loss rises.

    Stays nearer to the mean than UPGrad: it changes nothing as long as the mean itself is in
    conflict with no task, even if tasks are with each other. Choose it to keep tasks from getting
    worse, as in continual learning.

    Args:
        regularization: Keeps weights from becoming large where gradients nearly cancel out, at the
            price of conflicts of about this relative size; 0 for none.

    Raises:
        ValueError: If ``regularization`` is negative.

    Example:
        >>> gramian = torch.tensor([[1.0, -2.0], [-2.0, 8.0]]).double()
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> method = DualProj(regularization=0)
        >>> weights, _ = method.weights(gramian, torch.tensor([0, 1]), {}, context)
        >>> [round(w, 6) for w in weights.tolist()]  # 1 x w = 2 x 1: the first is left alone
        [2.0, 1.0]

    Source:
        Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory for Continual Learning", equation 11,
        https://arxiv.org/abs/1706.08840, for the mean of all gradients, as Quinton and Rey 2024
        compare it with UPGrad. The regularization is that of UPGrad here.
    """

    never_conflicts: ClassVar[bool] = True

    regularization: float = 1e-4

    def __post_init__(self) -> None:
        check_not_negative("regularization", self.regularization)

    def solve(self, gramian: Tensor, context: GradientContext) -> Tensor:
        total = torch.ones(1, len(gramian), dtype=gramian.dtype)
        return project_onto_dual_cone(gramian, total, self.regularization)[0]
