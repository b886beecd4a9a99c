# SPDX-License-Identifier: Apache-2.0
"""The source whose loss is falling fastest, for what it costs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import linear_regression
from typing import final

from hf_mtl._checks import check_same_names
from hf_mtl._numbers import check_interval, check_positive
from hf_mtl._typing import Entry
from hf_mtl.data.samplers.adaptive import AdaptiveSampler, Segment, State
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_name import check_by_source

__all__ = ["LearningProgressSampler"]

_LEAST_PROGRESS = 1e-5


@SAMPLERS.register("learning_progress")
@final
@dataclass(frozen=True)
class LearningProgressSampler(AdaptiveSampler):
    """Draws mostly from the source whose training loss is falling fastest.

    A curriculum that finds itself: what is being learned is trained, and what is learned already,
    or cannot be learned yet, waits. Losses are compared as they are, so that one on a larger scale
    falls faster. With ``costs``, progress is weighed against what a source costs to train on.

    Args:
        base: Entry of the sampler for the rates until every source has ``window`` losses.
        update_every: Steps of a segment; what it shows counts from the segment after the next.
        window: Segments, each with its mean loss, that the slope of a source is fitted to; 2 or
            more.
        exploration: Share of the other sources together, above 0 and below 1.
        costs: What an example of each source costs, by its name and in any unit: seconds, energy,
            floating-point operations, tokens. ``None``: costs do not count.
        kappa: How much progress counts against costs, above 0.

    Raises:
        TypeError: If a number is none, or no whole one; or if ``costs`` is no mapping.
        KeyError: If ``base`` is unknown.
        ValueError: If a number is out of range, or the rates of ``base`` change.

    Example:
        >>> sizes = [SourceSize(10, 2)] * 3
        >>> sampler = LearningProgressSampler(window=2)
        >>> state = sampler.init_state(3)
        >>> for losses in ([1.0, 2.0, 3.0], [0.9, 1.5, 3.0]):
        ...     segment = Segment(losses, [10] * 3, [1 / 3] * 3, num_steps=30)
        ...     state = sampler.state_after_segment(state, segment)
        >>> sampler.adapted_rates(sizes, state)
        [0.05, 0.9, 0.05]

    Source:
        Say et al. 2025, https://arxiv.org/abs/2504.00707, selection by learning progress and, with
        ``costs``, by energy-modulated learning progress: ``exp(kappa * progress) / cost``, with
        progress divided by its Euclidean norm (that of the costs changes no order). There one task
        is trained for a whole round, and the losses of the others are measured; here each draw
        chooses, so that every source goes on being drawn and its training losses tell. The energy
        there is the summed activity of all units, measured; here the user says what counts. Sources
        that do equally well share.
    """

    base: Entry = "uniform"
    window: int = 5
    exploration: float = 0.1
    costs: Mapping[str, float] | None = None
    kappa: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("window", self.window, whole=True)
        if self.window < 2:
            raise ValueError(
                f"`window` must be 2 or more, but got {self.window}. A slope needs two losses."
            )
        check_interval("exploration", self.exploration, "(0, 1)")
        check_positive("kappa", self.kappa)
        if self.costs is None:
            return
        check_by_source("costs", self.costs)
        for source, cost in self.costs.items():
            check_positive(f"costs.{source}", cost)

    def check_sources(self, names: Sequence[str]) -> None:
        super().check_sources(names)
        if self.costs is not None:
            check_same_names("costs", self.costs, names, "source")

    @property
    def idle_segments(self) -> int:
        return self.window

    def init_state(self, num_sources: int) -> State:
        return {"losses": [[] for _ in range(num_sources)]}

    def adapted_rates(self, sizes: Sequence[SourceSize], state: State) -> list[float]:
        losses = state["losses"]
        if min(map(len, losses)) < self.window:
            return self.rates(sizes)
        progress = [self._progress(each) for each in losses]
        if self.costs is not None:
            progress = self._worth(progress, [self.costs[size.name] for size in sizes])
        is_best = [each == max(progress) for each in progress]
        num_best, num_others = sum(is_best), len(sizes) - sum(is_best)
        explored = self.exploration if num_others else 0.0
        return [(1 - explored) / num_best if best else explored / num_others for best in is_best]

    def state_after_segment(self, state: State, segment: Segment) -> State:
        return {
            "losses": [
                known if loss is None else [*known, loss][-self.window :]
                for known, loss in zip(state["losses"], segment.losses, strict=True)
            ]
        }

    def _progress(self, losses: Sequence[float]) -> float:
        """How much the loss falls from one segment to the next."""
        return max(-linear_regression(range(self.window), losses).slope, _LEAST_PROGRESS)

    def _worth(self, progress: Sequence[float], costs: Sequence[float]) -> list[float]:
        """Progress for its cost; only the order of the results means something."""
        norm = math.hypot(*progress)
        return [
            math.exp(self.kappa * each / norm) / cost
            for each, cost in zip(progress, costs, strict=True)
        ]
