# SPDX-License-Identifier: Apache-2.0
"""Gradients from which what is in conflict with other tasks is removed."""

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext
from hf_mtl.gradients.memoryless import MemorylessMethod
from hf_mtl.gradients.torchjd_weights import pcgrad_weights

__all__ = ["PCGrad"]


@GRADIENT_METHODS.register("pcgrad")
@final
@dataclass(frozen=True)
class PCGrad(MemorylessMethod):
    """Removes from each gradient what points against another task's, then takes the mean.

    The others have their turn in random order. Gradients that are not in conflict stay as they are,
    so that it is the mildest change of plain training; with many tasks some conflicts remain.

    Example:
        >>> import torch
        >>> gramian = torch.tensor([[1.0, -0.5], [-0.5, 1.0]]).double()  # 120 degrees
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> PCGrad().weights(gramian, torch.tensor([0, 1]), {}, context)[0].tolist()
        [1.5, 1.5]

    Source:
        Yu et al. 2020, "Gradient Surgery for Multi-Task Learning", algorithm 1,
        https://arxiv.org/abs/2001.06782. It takes the sum, here divided by the number of tasks.
    """

    breaks: ClassVar[dict[str, str]] = {
        "order_of_tasks_is_irrelevant": "Random numbers belong to positions of tasks.",
    }

    def solve(self, gramian: Tensor, context: GradientContext) -> Tensor:
        return pcgrad_weights(gramian, context.generator())
