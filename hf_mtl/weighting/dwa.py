# SPDX-License-Identifier: Apache-2.0
"""Weights from how fast losses fell over the last epochs."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl._numbers import check_positive
from hf_mtl.weighting.base import WEIGHTINGS, State, Weighting, WeightingContext
from hf_mtl.weighting.numbers import shares

__all__ = ["DWAWeighting"]

_STATE = ("interval", "sum", "count", "last", "second_last")


@WEIGHTINGS.register("dwa")
@final
@dataclass(frozen=True)
class DWAWeighting(Weighting):
    """Weights tasks up whose mean loss fell least from one epoch to the next.

    It looks at the speed of learning alone, so losses may have different units. It needs several
    epochs, or intervals that are long enough for means without much noise.

    Args:
        temperature: Above 0. Large values bring all weights to 1, small ones give everything to the
            slowest task.
        interval_steps: Steps over which losses are averaged; an epoch, if not given.

    Example:
        >>> import torch
        >>> weighting, tasks = DWAWeighting(temperature=0.5), torch.tensor([0, 1])
        >>> state = weighting.init_state(2)
        >>> for epoch, losses in enumerate([[4.0, 2.0], [4.0, 1.0]]):
        ...     context, losses = WeightingContext(step=epoch, epoch=epoch), torch.tensor(losses)
        ...     state = weighting.next_state(losses.double(), tasks, state, context)
        >>> weights = weighting.weights(losses, tasks, state, WeightingContext(step=2, epoch=2))
        >>> [round(weight, 2) for weight in weights.tolist()]
        [1.46, 0.54]

    Source:
        Liu, Johns and Davison 2019, "End-to-End Multi-Task Learning with Attention", equation 7,
        https://arxiv.org/abs/1803.10704. Intervals may be steps. Each task has intervals of its
        own: one in which it was absent does not count, and until two are complete its losses
        are taken not to have changed.
    """

    temperature: float = 2.0
    interval_steps: int | None = None

    compares_tasks: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive("temperature", self.temperature)
        if self.interval_steps is not None:
            check_positive("interval_steps", self.interval_steps, whole=True)

    @property
    def idle_epochs(self) -> int:
        return 2 if self.interval_steps is None else 0

    @property
    def idle_steps(self) -> int:
        return 2 * (self.interval_steps or 0)

    def init_state(self, num_tasks: int) -> State:
        # Losses are positive, so 0 stands for a mean that is not known yet.
        return {name: torch.zeros(num_tasks, dtype=torch.float64) for name in _STATE}

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        now = self._state_at(context, tasks, state)
        is_known = now["second_last"] > 0
        ratio = torch.where(is_known, now["last"] / positive(now["second_last"]), 1.0)
        return shares(ratio / self.temperature)

    def next_state(
        self,
        losses: Tensor,
        tasks: Tensor,
        state: State,
        context: WeightingContext,
        losses_after: Tensor | None = None,
    ) -> State:
        now = self._state_at(context, tasks, state)
        now |= {"sum": now["sum"] + losses, "count": now["count"] + 1}
        return {name: state[name].scatter(0, tasks, now[name]) for name in _STATE}

    def _state_at(
        self, context: WeightingContext, tasks: Tensor, state: State
    ) -> dict[str, Tensor]:
        """State of some tasks at the start of a step: an interval that is over is closed."""
        steps = self.interval_steps
        interval = context.epoch if steps is None else context.step // steps
        old = {name: state[name][tasks] for name in _STATE}
        is_over = (old["interval"] != interval) & (old["count"] > 0)
        mean = positive(old["sum"] / old["count"].clamp(min=1))
        return {
            "interval": torch.full_like(old["interval"], interval),
            "sum": torch.where(is_over, 0.0, old["sum"]),
            "count": torch.where(is_over, 0.0, old["count"]),
            "last": torch.where(is_over, mean, old["last"]),
            "second_last": torch.where(is_over, old["last"], old["second_last"]),
        }
