# SPDX-License-Identifier: Apache-2.0
"""Weights from running means of the losses."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl._numbers import check_interval
from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext

__all__ = ["EMAWeighting"]


@WEIGHTINGS.register("ema")
@final
@dataclass(frozen=True)
class EMAWeighting(Weighting):
    """Divides each loss by its exponential moving average, so that all are about 1.

    As ``scale_invariant``, but a batch with an unusual loss keeps its say: choose it where losses
    of single batches are noisy, as with small batches.

    Args:
        decay: Share of the average that a step keeps, at least 0 and below 1; 0 is
            ``scale_invariant``, 0.9 looks back about ten steps of the task.

    Example:
        >>> context = WeightingContext(step=0)
        >>> weighting = EMAWeighting()
        >>> losses, tasks = torch.tensor([4.0, 0.5]).double(), torch.tensor([0, 1])
        >>> weights = weighting.weights(losses, tasks, weighting.init_state(2), context)
        >>> [round(w, 6) for w in weights.tolist()]
        [0.25, 2.0]

    Source:
        Lakkapragada et al. 2022, https://arxiv.org/abs/2211.12999, exponential moving average
        loss balancing; formula from its description. They tune the decay for each data set. The
        average holds the current loss, and is corrected for its start at 0 as Adam's moments are.
    """

    needs_losses: ClassVar[bool] = True

    decay: float = 0.9

    def __post_init__(self) -> None:
        check_interval("decay", self.decay, "[0, 1)")

    def init_state(self, num_tasks: int) -> State:
        zeros = torch.zeros(num_tasks, dtype=torch.float64)
        return {"average": zeros, "num_updates": zeros.clone()}

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        after = self.next_state(losses, tasks, state, context)
        share_of_start = self.decay ** after["num_updates"][tasks]
        return 1 / positive(after["average"][tasks] / (1 - share_of_start))

    def next_state(
        self,
        losses: Tensor,
        tasks: Tensor,
        state: State,
        context: WeightingContext,
        losses_after: Tensor | None = None,
    ) -> State:
        average = self.decay * state["average"][tasks] + (1 - self.decay) * losses
        return {
            "average": state["average"].scatter(0, tasks, average),
            "num_updates": state["num_updates"].index_add(0, tasks, torch.ones_like(losses)),
        }
