# SPDX-License-Identifier: Apache-2.0
"""A smooth maximum of the losses, each in terms of what it was after a warm-up."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl._numbers import check_positive
from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext
from hf_mtl.weighting.numbers import shares

__all__ = ["STCHWeighting"]


@WEIGHTINGS.register("stch")
@final
@dataclass(frozen=True)
class STCHWeighting(Weighting):
    """Minimises a smooth maximum of the losses (Tchebycheff), after a warm-up on their logarithms.

    A loss is measured by its mean at the end of the warm-up, its *nadir*; the task that has come
    down least since then counts most. For tasks of which none may be left behind. Until the nadir
    of a task is known, its current loss stands for it.

    Args:
        temperature: How smooth: near 0 only the worst task counts, and the larger it is the closer
            the weights are to ``1 / loss``. At 1 a step minimises the mean of ``loss / nadir``,
            divided by its value.
        warmup_epochs: Epochs of warm-up, 0 or more, after which one more epoch with the same
            weights gives the nadir. Runs of fewer epochs need ``warmup_steps``.
        warmup_steps: Steps of warm-up, in place of epochs; their last quarter gives the nadir.

    Example:
        >>> weighting = STCHWeighting(warmup_steps=100)
        >>> state = {"sum": torch.tensor([8.0, 2.0]).double(), "count": torch.ones(2).double() * 2}
        >>> losses, tasks = torch.tensor([2.0, 1.0]).double(), torch.tensor([0, 1])
        >>> weights = weighting.weights(losses, tasks, state, WeightingContext(step=100))
        >>> [round(w, 3) for w in weights.tolist()]  # the first has come down to a half
        [0.333, 1.333]

    Source:
        Lin et al. 2024, "Smooth Tchebycheff Scalarization for Multi-Objective Optimization",
        https://arxiv.org/abs/2402.19078, as in the authors' code for multi-task learning. The total
        is theirs divided by the number of tasks present, in the warm-up too. ``warmup_steps`` is
        ours, for fine-tuning.
    """

    needs_losses: ClassVar[bool] = True

    temperature: float = 1.0
    warmup_epochs: int = 4
    warmup_steps: int | None = None

    def __post_init__(self) -> None:
        check_positive("temperature", self.temperature)
        if self.warmup_epochs != 0:
            check_positive("warmup_epochs", self.warmup_epochs, whole=True)
        if self.warmup_steps is not None:
            check_positive("warmup_steps", self.warmup_steps, whole=True)

    @property
    def idle_epochs(self) -> int:
        return self.warmup_epochs + 1 if self.warmup_steps is None else 0

    @property
    def idle_steps(self) -> int:
        return self.warmup_steps or 0

    def init_state(self, num_tasks: int) -> State:
        zeros = torch.zeros(num_tasks, dtype=torch.float64)
        return {"sum": zeros, "count": zeros.clone()}

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        losses = positive(losses)
        if self._is_warmup(context):
            return 1 / losses
        count = state["count"][tasks]
        nadir = torch.where(count > 0, state["sum"][tasks] / count.clamp(min=1), losses)
        return shares((losses / nadir).log() / self.temperature) / losses

    def next_state(
        self,
        losses: Tensor,
        tasks: Tensor,
        state: State,
        context: WeightingContext,
        losses_after: Tensor | None = None,
    ) -> State:
        if not self._gives_nadir(context):
            return state
        return {
            "sum": state["sum"].index_add(0, tasks, positive(losses)),
            "count": state["count"].index_add(0, tasks, torch.ones_like(losses)),
        }

    def _is_warmup(self, context: WeightingContext) -> bool:
        if self.warmup_steps is None:
            return context.epoch <= self.warmup_epochs
        return context.step < self.warmup_steps

    def _gives_nadir(self, context: WeightingContext) -> bool:
        if self.warmup_steps is None:
            return context.epoch == self.warmup_epochs
        return self.warmup_steps * 3 // 4 <= context.step < self.warmup_steps
