# SPDX-License-Identifier: Apache-2.0
"""Weights that are learned to lower all losses at the same relative speed."""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl._numbers import check_not_negative, check_positive
from hf_mtl.weighting.base import WEIGHTINGS, State, WeightingContext
from hf_mtl.weighting.learned import LearnedWeighting

__all__ = ["FAMOWeighting"]


@WEIGHTINGS.register("famo")
@final
@dataclass(frozen=True)
class FAMOWeighting(LearnedWeighting):
    """Weights ``1 / loss``, times shares that are learned to keep slow tasks from falling behind.

    After each step the losses of its rows are computed once more: tasks whose logarithm fell by
    less get a larger share. Choose it where a few tasks are learned at the cost of others; the
    memory is that of equal weights, for one more forward pass a step.

    Args:
        min_loss: The lowest loss that a task can reach. It is subtracted from all losses.
        learning_rate: Of the shares' own Adam, on their logarithms.
        weight_decay: Pulls the shares together: 0 or more. The paper's values are 0.001, and 0.01
            where its tasks are few.

    Raises:
        ValueError: If ``min_loss`` is not finite, or ``weight_decay`` is negative.

    Example:
        >>> import torch
        >>> context = WeightingContext(step=0)
        >>> weighting = FAMOWeighting()
        >>> losses, tasks = torch.tensor([3.0, 1.0]).double(), torch.tensor([0, 1])
        >>> weighting.weights(losses, tasks, weighting.init_state(2), context).tolist()
        [0.5, 1.5]

    Source:
        Liu et al. 2023, "FAMO: Fast Adaptive Multitask Optimization", algorithm 1 and the authors'
        code, https://arxiv.org/abs/2306.03792. Its weights add up to 1, these to the number of
        tasks in the step. Shares are taken among the tasks that are present. The losses above
        ``min_loss`` are bounded below by 1e-8, where the authors add that number. Dropout is the
        same before and after the step, or its noise would pass for improvement.
    """

    compares_tasks: ClassVar[bool] = True
    needs_losses: ClassVar[bool] = True
    needs_losses_after: ClassVar[bool] = True

    min_loss: float = 0.0
    learning_rate: float = 0.025
    weight_decay: float = 1e-3

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)
        if not math.isfinite(self.min_loss):
            raise ValueError(f"`min_loss` must be a finite number, but got {self.min_loss!r}.")
        check_not_negative("weight_decay", self.weight_decay)

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        raw = torch.softmax(state["parameter"][tasks], dim=0) / self._excess(losses)
        return len(tasks) * raw / raw.sum()

    def state_loss(self, parameter: Tensor, losses: Tensor, losses_after: Tensor | None) -> Tensor:
        assert losses_after is not None  # because of `needs_losses_after`
        improvement = self._excess(losses).log() - self._excess(losses_after).log()
        return (torch.softmax(parameter, dim=0) * improvement).sum()

    def _excess(self, losses: Tensor) -> Tensor:
        return positive(losses - self.min_loss)
