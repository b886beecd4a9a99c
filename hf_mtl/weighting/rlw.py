# SPDX-License-Identifier: Apache-2.0
"""Weights drawn at random in every step."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext
from hf_mtl.weighting.numbers import shares

__all__ = ["RLWWeighting"]


@WEIGHTINGS.register("rlw")
@final
@dataclass(frozen=True)
class RLWWeighting(Weighting):
    """Draws the weights of every step anew; on average tasks count alike.

    A baseline: a weighting that is no better than this one has not found anything out about the
    tasks. The noise can help to leave poor minima, as that of small batches does.

    Example:
        >>> import torch
        >>> losses, tasks = torch.tensor([4.0, 0.5]).double(), torch.tensor([0, 1])
        >>> weights = RLWWeighting().weights(losses, tasks, {}, WeightingContext(step=0))
        >>> round(weights.sum().item(), 6)
        2.0

    Source:
        Lin et al. 2022, "Reasonable Effectiveness of Random Weighting", random loss weighting with
        a normal distribution, https://arxiv.org/abs/2111.10603. Its weights add up to 1, these to
        the number of tasks in the step.
    """

    compares_tasks: ClassVar[bool] = True
    breaks: ClassVar[dict[str, str]] = {
        "equal_losses_equal_weights": "Weights are random.",
        "order_of_tasks_is_irrelevant": "Random numbers belong to positions of tasks.",
    }

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        generator = context.generator()
        # One by one, because the first of many numbers drawn at once depend on how many these are:
        # a task's number shall not depend on which others are present.
        normals = [
            torch.randn((), generator=generator, dtype=torch.float64)
            for _ in range(int(tasks.max()) + 1)
        ]
        return shares(torch.stack(normals)[tasks])
