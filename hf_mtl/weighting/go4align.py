# SPDX-License-Identifier: Apache-2.0
"""Weights that are shared by groups of tasks with losses of like size."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl._numbers import check_positive
from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext
from hf_mtl.weighting.numbers import shares

__all__ = ["GO4AlignWeighting"]


def _group_means(values: Tensor, num_groups: int) -> Tensor:
    """Mean of each value's group, in the best grouping (least squares): ``[S], int -> [S]``.

    On a line groups are neighbours, so that the best one is found exactly, whatever the order of
    the values: k-means from a random start would depend on it.
    """
    ordered, order = values.sort()
    centred = ordered - ordered.mean()  # or the difference of squares below would lose digits
    sums, squares = (torch.cat([x.new_zeros(1), x.cumsum(0)]) for x in (centred, centred**2))
    size = torch.arange(len(sums)) - torch.arange(len(sums))[:, None]
    errors = squares - squares[:, None] - (sums - sums[:, None]) ** 2 / size.clamp(min=1)
    errors[size <= 0] = torch.inf  # row: where a group begins; column: where it ends
    least, starts = errors[0], []
    for _ in range(min(num_groups, len(values)) - 1):
        least, start = (least[:, None] + errors).min(dim=0)
        starts.append(start)
    means, end = torch.empty_like(ordered), len(ordered)
    for begin_by_end in reversed(starts):
        begin = int(begin_by_end[end])
        means[begin:end] = ordered[begin:end].mean()
        end = begin
    means[:end] = ordered[:end].mean()
    return torch.empty_like(values).scatter(0, order, means)


@WEIGHTINGS.register("go4align")
@final
@dataclass(frozen=True)
class GO4AlignWeighting(Weighting):
    """Weights tasks by the inverse of their losses, averaged over groups of like tasks.

    With ``num_groups`` as large as the number of tasks it is about ``mean loss / loss``; with 1
    all weights are the same. In between, tasks with losses of like size get one weight: for many
    tasks of a few kinds.

    Args:
        num_groups: Groups that the tasks of a step are put into. The authors' code has 1 unless
            told otherwise, which weights all tasks alike.
        step_size: How fast the share of a task falls with its losses; at the authors' value,
            hardly.

    Example:
        >>> context, weighting = WeightingContext(step=0), GO4AlignWeighting()
        >>> losses, tasks = torch.tensor([1.0, 3.0, 6.0]).double(), torch.tensor([0, 1, 2])
        >>> weights = weighting.weights(losses, tasks, weighting.init_state(3), context)
        >>> [round(w, 2) for w in weights.tolist()]  # mean loss 10 / 3; the last two are a group
        [3.33, 0.83, 0.83]

    Source:
        Shen et al. 2024, "GO4Align: Group Optimization for Multi-Task Alignment",
        https://arxiv.org/abs/2404.06486, as in the authors' code. Groups are the best ones, where
        k-means finds good ones; shares are those among the tasks that are present.
    """

    compares_tasks: ClassVar[bool] = True
    needs_losses: ClassVar[bool] = True

    num_groups: int = 2
    step_size: float = 1e-4

    def __post_init__(self) -> None:
        check_positive("num_groups", self.num_groups, whole=True)
        check_positive("step_size", self.step_size)

    def init_state(self, num_tasks: int) -> State:
        return {"log_odds": torch.zeros(num_tasks, dtype=torch.float64)}

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        after = self.next_state(losses, tasks, state, context)
        losses = positive(losses)
        weights = shares(after["log_odds"][tasks]) * losses.mean() / losses
        return _group_means(weights, self.num_groups)

    def next_state(
        self,
        losses: Tensor,
        tasks: Tensor,
        state: State,
        context: WeightingContext,
        losses_after: Tensor | None = None,
    ) -> State:
        return {"log_odds": state["log_odds"].index_add(0, tasks, -self.step_size * losses)}
