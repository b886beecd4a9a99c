# SPDX-License-Identifier: Apache-2.0
"""Weights from how far each loss has come down in the epoch."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl._numbers import check_positive
from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext

__all__ = ["LBTWWeighting"]


@WEIGHTINGS.register("lbtw")
@final
@dataclass(frozen=True)
class LBTWWeighting(Weighting):
    """Weights each task by its loss in terms of its first loss of the epoch: slow tasks count more.

    For many tasks of which some are hurt by the others. Single batches decide, so that small ones
    make weights noisy.

    Args:
        alpha: Power of the ratio, above 0: the larger, the further weights are apart. The paper
            uses 0.5 and 0.1.

    Example:
        >>> context, weighting = WeightingContext(step=1), LBTWWeighting()
        >>> first, tasks = torch.tensor([1.0, 4.0]).double(), torch.tensor([0, 1])
        >>> state = weighting.next_state(first, tasks, weighting.init_state(2), context)
        >>> losses = torch.tensor([1.0, 1.0]).double()
        >>> weights = weighting.weights(losses, tasks, state, context)
        >>> [round(w, 3) for w in weights.tolist()]  # 1 to 1 / 2
        [1.333, 0.667]

    Source:
        Liu, Liang and Gitter 2019, "Loss-Balanced Task Weighting to Reduce Negative Transfer in
        Multi-Task Learning", https://github.com/chao1224/Loss-Balanced-Task-Weighting. Weights
        average 1 over the tasks present; the first loss is that of a task's own first step.
    """

    compares_tasks: ClassVar[bool] = True
    needs_losses: ClassVar[bool] = True

    alpha: float = 0.5

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)

    def init_state(self, num_tasks: int) -> State:
        zeros = torch.zeros(num_tasks, dtype=torch.float64)
        return {"first": zeros, "epoch": zeros.clone()}  # a first loss of 0: none yet

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        first = self.next_state(losses, tasks, state, context)["first"][tasks]
        powers = (positive(losses) / first) ** self.alpha
        return powers / powers.mean()

    def next_state(
        self,
        losses: Tensor,
        tasks: Tensor,
        state: State,
        context: WeightingContext,
        losses_after: Tensor | None = None,
    ) -> State:
        first, epoch = state["first"][tasks], torch.full_like(losses, context.epoch)
        is_known = (first > 0) & (state["epoch"][tasks] == epoch)
        first = torch.where(is_known, first, positive(losses))
        return {
            "first": state["first"].scatter(0, tasks, first),
            "epoch": state["epoch"].scatter(0, tasks, epoch),
        }
