# SPDX-License-Identifier: Apache-2.0
"""Sources are dropped by how many rows they have, how far they have come, and whether they move."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from statistics import fmean
from typing import ClassVar, final

from hf_mtl._numbers import check_not_negative
from hf_mtl._typing import Entry
from hf_mtl.data.samplers.adaptive import AdaptiveSampler, State
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import shares

__all__ = ["DSTSampler"]

_LEAST_LOSS = 1e-8


@SAMPLERS.register("dst")
@final
@dataclass(frozen=True)
class DSTSampler(AdaptiveSampler):
    """Draws less from sources that are small, that have come far, or whose loss still moves.

    What is left of the others makes up for them, so that tasks that are slow or stuck get more
    room. It needs evaluations, of whose losses it is told.

    Args:
        base: Entry of the sampler for the rates that are multiplied.
        update_every: Steps of a segment; an evaluation counts from the segment after the next.
        count: Weight of the size of a source, in terms of the largest one.
        progress: Weight of its evaluation loss in terms of its first one, and of the mean of the
            sources, up to 1: little progress keeps a source.
        stagnancy: Weight of how little its loss has changed since the last evaluation, in terms
            of the mean of the sources, up to 1: what is stuck is kept.

    Raises:
        TypeError: If a number is none, or no whole one.
        KeyError: If ``base`` is unknown.
        ValueError: If a number is out of range, the three weights leave nothing for all sources
            alike, or the rates of ``base`` change.

    Example:
        >>> sizes = [SourceSize(100, 8), SourceSize(50, 8)]
        >>> sampler = DSTSampler()
        >>> [round(rate, 3) for rate in sampler.adapted_rates(sizes, sampler.init_state(2))]
        [0.526, 0.474]

    Source:
        Malhotra et al. 2023, "Dropped Scheduled Task: Mitigating Negative Transfer in Multi-Task
        Learning using Dynamic Task Dropping", TMLR: the chance of a task to be kept is a weighted
        sum of metrics, here with weights of 0.2. Rates in proportion to it stand for dropping tasks
        from a step. The formulas of the metrics are ours, after its description; the one of depth
        is 1 for every source, because heads are equally deep, and so belongs to the rest, by which
        all are alike.
    """

    needs_evaluation: ClassVar[bool] = True

    base: Entry = "uniform"
    count: float = 0.2
    progress: float = 0.2
    stagnancy: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = {"count": self.count, "progress": self.progress, "stagnancy": self.stagnancy}
        for name, weight in weights.items():
            check_not_negative(name, weight)
        if sum(weights.values()) >= 1:
            raise ValueError(
                f"`count`, `progress` and `stagnancy` must be less than 1 together, but got "
                f"{weights}. The rest is what every source is drawn by whatever happens."
            )

    @property
    def needs_sizes(self) -> bool:  # type: ignore[override]  # as in the base class
        return bool(self.count) or super().needs_sizes

    def init_state(self, num_sources: int) -> State:
        return {name: [None] * num_sources for name in ("first", "before", "last")}

    def adapted_rates(self, sizes: Sequence[SourceSize], state: State) -> list[float]:
        largest = max(size.num_rows for size in sizes)
        counts = [size.num_rows / largest for size in sizes]
        metrics = zip(counts, _progress(state), _stagnancy(state), strict=True)
        rest = 1 - self.count - self.progress - self.stagnancy
        kept = [
            rest + self.count * count + self.progress * progress + self.stagnancy * stagnancy
            for count, progress, stagnancy in metrics
        ]
        return shares(list(map(mul, self.rates(sizes), kept)))

    def state_after_evaluation(
        self, state: State, losses: Sequence[float | None], scores: Sequence[float | None]
    ) -> State:
        first, before, last = (list(state[name]) for name in ("first", "before", "last"))
        for source, loss in enumerate(losses):
            if loss is None:
                continue
            before[source], last[source] = last[source], max(loss, _LEAST_LOSS)
            if first[source] is None:
                first[source] = last[source]
        return {"first": first, "before": before, "last": last}


def _progress(state: State) -> list[float]:
    """How little each source has come forward, in terms of the mean; 1 if that is not known."""
    ratios = [
        None if last is None else last / first
        for first, last in zip(state["first"], state["last"], strict=True)
    ]
    known = [ratio for ratio in ratios if ratio is not None]
    return [1.0 if ratio is None else min(1.0, ratio / fmean(known)) for ratio in ratios]


def _stagnancy(state: State) -> list[float]:
    """How little each source has moved, in terms of the mean; 1 if that is not known."""
    moves = [
        None if before is None else abs(before - last) / before
        for before, last in zip(state["before"], state["last"], strict=True)
    ]
    mean = fmean([move for move in moves if move is not None] or [0.0])
    return [min(1.0, mean / move) if move else 1.0 for move in moves]
