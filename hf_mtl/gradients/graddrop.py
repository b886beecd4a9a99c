# SPDX-License-Identifier: Apache-2.0
"""Gradients of which, in each element, one sign is kept by chance."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from hf_mtl._numbers import check_interval
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext
from hf_mtl.gradients.jacobian import ElementwiseMethod

__all__ = ["GradDrop"]


@GRADIENT_METHODS.register("graddrop")
@final
@dataclass(frozen=True)
class GradDrop(ElementwiseMethod):
    """Keeps, in each element, only what has one sign: drawn by how much of the gradients has it.

    Where tasks agree, nothing is dropped; where they do not, an element follows one side, and over
    many steps both. Choose it where conflicts pull parameters to and fro.

    Args:
        leak: Share of what is dropped that is kept all the same: 0 for none; 1 is the plain mean.

    Raises:
        ValueError: If ``leak`` is not in [0, 1].

    Example:
        >>> gradients = torch.tensor([[3.0, 3.0, 1.0], [-1.0, -1.0, 1.0]])  # positive: 3 of 4
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> GradDrop().direction(gradients, context, torch.tensor([0.7, 0.8, 0.5])).tolist()
        [1.5, -0.5, 1.0]

    Source:
        Chen et al. 2020, "Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign
        Dropout", algorithm 1 with the identity as its function, https://arxiv.org/abs/2010.06808.
        It drops gradients of the last shared activations, here those of the parameters, and takes
        the sum, here divided by the number of tasks.
    """

    leak: float = 0.0

    def __post_init__(self) -> None:
        check_interval("leak", self.leak, "[0, 1]")

    def direction(self, gradients: Tensor, context: GradientContext, uniform: Tensor) -> Tensor:
        # Nothing is kept or dropped where all is 0.
        purity = (gradients.sum(dim=0) / gradients.abs().sum(dim=0)).nan_to_num(0.0)
        keeps_positive = (1 + purity) / 2 > uniform
        # Exact in each element: a side whose purity is 1 has no other, whatever rounding says.
        is_kept = (gradients > 0) == keeps_positive
        return torch.where(is_kept, gradients, self.leak * gradients).mean(dim=0)
