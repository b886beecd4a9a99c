# SPDX-License-Identifier: Apache-2.0
"""The mean of the gradients: what training does without a gradient method."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext, GramianMethod, State

__all__ = ["Mean"]


@GRADIENT_METHODS.register("mean")
@final
@dataclass(frozen=True)
class Mean(GramianMethod):
    """Follows the mean of the gradients.

    Training is what it would be without a gradient method; choose it to see in the log whether
    gradients are in conflict at all, before a method is chosen that resolves conflicts.

    Example:
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> Mean().weights(2 * torch.eye(2).double(), torch.tensor([0, 1]), {}, context)[0].tolist()
        [1.0, 1.0]

    Source:
        Equal weighting, the baseline of the literature on multi-task learning.
    """

    def weights(
        self, gramian: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        return torch.ones(len(gramian), dtype=torch.float64), state
