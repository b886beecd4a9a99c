# SPDX-License-Identifier: Apache-2.0
"""The mean of the gradients, each freed of its conflicts with all others."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._numbers import check_not_negative
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext
from hf_mtl.gradients.dual_cone import project_onto_dual_cone
from hf_mtl.gradients.memoryless import MemorylessMethod

__all__ = ["UPGrad"]


@GRADIENT_METHODS.register("upgrad")
@final
@dataclass(frozen=True)
class UPGrad(MemorylessMethod):
    """Replaces each gradient by the nearest direction along which no loss rises; takes the mean.

    Resolves all conflicts, where PCGrad leaves some, and is the plain mean where there are none.
    Choose it as a default: long gradients keep their say, no task gets worse.

    Args:
        regularization: Keeps weights from becoming large where gradients nearly cancel out, at the
            price of conflicts of about this relative size; 0 for none.

    Raises:
        ValueError: If ``regularization`` is negative.

    Example:
        >>> gramian = torch.tensor([[1.0, -0.5], [-0.5, 1.0]]).double()  # 120 degrees
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> method = UPGrad(regularization=0)
        >>> weights, _ = method.weights(gramian, torch.tensor([0, 1]), {}, context)
        >>> [round(w, 6) for w in weights.tolist()]
        [1.5, 1.5]

    Source:
        Quinton and Rey 2024, "Jacobian Descent for Multi-Objective Optimization", definition of
        A_UPGrad, https://arxiv.org/abs/2406.16232. The authors' torchjd adds the same to all
        squared lengths, beside which the conflicts of a short gradient are lost; it also takes
        gradients that are shorter than 0.01 together for 0.
    """

    never_conflicts: ClassVar[bool] = True

    regularization: float = 1e-4

    def __post_init__(self) -> None:
        check_not_negative("regularization", self.regularization)

    def solve(self, gramian: Tensor, context: GradientContext) -> Tensor:
        each = torch.eye(len(gramian), dtype=gramian.dtype)
        return project_onto_dual_cone(gramian, each, self.regularization).sum(dim=0)
