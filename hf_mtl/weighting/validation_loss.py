# SPDX-License-Identifier: Apache-2.0
"""Weights from how far each task's evaluation loss has come."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl._numbers import check_interval, check_positive
from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext
from hf_mtl.weighting.numbers import shares

__all__ = ["ValidationLossWeighting"]

_STATE = ("first", "smoothed")
_SMALLEST, _LARGEST = 0.1, 10.0


@WEIGHTINGS.register("validation_loss")
@final
@dataclass(frozen=True)
class ValidationLossWeighting(Weighting):
    """Weights tasks up whose evaluation loss has fallen least since the first evaluation.

    Unlike training losses, those of an evaluation rise for tasks that overfit, and these are
    weighted up as well: evaluate often enough, and prefer ``"dwa"`` where tasks are small. The
    split that decides on weights cannot be the one that reports results.

    Args:
        temperature: Above 0. Large values bring all weights to 1, small ones give everything to the
            slowest task.
        smoothing: Share of the past in the running mean of each loss: from 0, only the last
            evaluation counts, to below 1.

    Raises:
        ValueError: If ``smoothing`` is outside of that range.

    Example:
        >>> import torch
        >>> weighting, tasks = ValidationLossWeighting(temperature=0.5), torch.tensor([0, 1])
        >>> state = weighting.init_state(2)
        >>> for losses in torch.tensor([[4.0, 2.0], [4.0, 1.0]]).double():
        ...     state = weighting.state_after_evaluation(losses, tasks, state)
        >>> weights = weighting.weights(losses, tasks, state, WeightingContext(step=2))
        >>> [round(weight, 2) for weight in weights.tolist()]
        [1.46, 0.54]

    Source:
        No paper: a generic form of what "dynamic weighting by validation loss" stands for. A
        softmax of ``loss / first loss``, times the number of tasks in the step, clipped to 0.1
        and 10. A task that was not evaluated counts as one whose loss has not changed.
    """

    compares_tasks: ClassVar[bool] = True
    needs_evaluation: ClassVar[bool] = True

    temperature: float = 1.0
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_positive("temperature", self.temperature)
        check_interval("smoothing", self.smoothing, "[0, 1)")

    @property
    def idle_evaluations(self) -> int:
        return 2  # the first one is what the others are compared with

    def init_state(self, num_tasks: int) -> State:
        # Losses are positive, so 0 stands for one that is not known yet.
        return {name: torch.zeros(num_tasks, dtype=torch.float64) for name in _STATE}

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        first, smoothed = (state[name][tasks] for name in _STATE)
        ratio = torch.where(first > 0, smoothed / positive(first), 1.0)
        return shares(ratio / self.temperature).clamp(_SMALLEST, _LARGEST)

    def state_after_evaluation(self, losses: Tensor, tasks: Tensor, state: State) -> State:
        found = positive(losses)
        first, smoothed = (state[name][tasks] for name in _STATE)
        is_new = first == 0
        mean = self.smoothing * smoothed + (1 - self.smoothing) * found
        now = {
            "first": torch.where(is_new, found, first),
            "smoothed": torch.where(is_new, found, mean),
        }
        return {name: state[name].scatter(0, tasks, now[name]) for name in _STATE}
