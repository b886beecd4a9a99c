# SPDX-License-Identifier: Apache-2.0
"""Which rows each optimizer step sees: a pure function of seed and epoch, the same on every rank.

With a sampler that follows the run it is one of the rates too that the run has settled.

A step takes one or more draws. A draw's rows are dealt out to the slots of the step, one slot for
each (micro-batch, rank), so that a step sees the same rows however many ranks and micro-batches
share the work. Nothing is stored but the epoch: a resumed run skips ahead in the same sequence.

With several ranks every slot has every draw, if need be with a row that only fills the place: all
ranks run the same forwards in the same order, as sharded models have to.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count, islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from hf_mtl._numbers import check_positive
from hf_mtl.data.draw import Draw
from hf_mtl.data.samplers import (
    AdaptiveSampler,
    SettledRates,
    SourceSize,
    Span,
    TaskSampler,
)
from hf_mtl.data.samplers.base import draws_per_row
from hf_mtl.data.samplers.by_rate import random_draws
from hf_mtl.data.samplers.rounds import check_stopping, draws_in_rounds, num_rounds, rounds
from hf_mtl.data.seeds import seed_of

__all__ = ["StepPlan", "share"]

Rows = NDArray[np.int64]


class StepPlan(Sampler[list[Draw]]):
    """The micro-batches of one rank, epoch after epoch; a batch sampler for a ``DataLoader``.

    Every optimizer step is exactly ``accumulation`` micro-batches. Within an epoch the draws of a
    source walk through a fresh permutation of its rows for each pass, so that each row comes once
    a pass. Rows of a stream are positions in its own order, counted on from the start of the
    epoch. Where a source draws by tokens, rows of like length are drawn together, and the draws of
    a pass are shuffled. A draw with fewer rows than slots leaves some slots without it: on one rank
    a micro-batch may hold fewer draws than its neighbours, or none.

    Args:
        sizes: Size of each source by its name; ``SourceCollection.sizes`` gives them.
        sampler: Decides which source comes next. ``None`` with ``tasks_per_step="all"``.
        tasks_per_step: Draws that make one step: a number, or ``"all"`` for one of each source.
            With a number the sampler may draw one source twice in a step.
        stopping: When an epoch ends with ``tasks_per_step="all"``: ``"first_exhausted"``,
            ``"all_exhausted"`` or ``"all_exhausted_without_replacement"``.
        accumulation: Micro-batches of a step.
        world_size: Number of ranks.
        rank: This rank.
        seed: Seed of all randomness here.
        keeps_micro_batches: Whether a micro-batch has the same rows however many ranks share it,
            for gradient methods that compare micro-batches. Else slots are dealt out as evenly as
            can be.
        num_epochs: Epochs of the training, for samplers whose rates change with its progress.
        max_steps: Steps of the training, in place of epochs; below 1: not given.
        settled: Rates that a run settles for an adaptive sampler. ``None``: there is no run, and
            the rates are those of its base.

    Raises:
        KeyError: If the stopping rule is unknown.
        TypeError: If a number is none.
        ValueError: If there is no source, a number is out of range, the sampler is for other
            sources, or sampler, stopping rule and ``tasks_per_step`` contradict each other.

    Example:
        >>> sizes = {"a": SourceSize(num_rows=3, batch_size=2), "b": SourceSize(1, 2)}
        >>> plan = StepPlan(sizes, tasks_per_step="all", stopping="all_exhausted")
        >>> [[(draw.source, len(draw.rows)) for draw in batch] for batch in plan]
        [[('a', 2), ('b', 1)], [('a', 1), ('b', 1)]]
    """

    def __init__(
        self,
        sizes: Mapping[str, SourceSize],
        *,
        sampler: TaskSampler | None = None,
        tasks_per_step: int | Literal["all"] = 1,
        stopping: str = "all_exhausted",
        accumulation: int = 1,
        world_size: int = 1,
        rank: int = 0,
        seed: int = 42,
        keeps_micro_batches: bool = False,
        num_epochs: float = 1.0,
        max_steps: int = -1,
        settled: SettledRates | None = None,
    ) -> None:
        if not sizes:
            raise ValueError("`sizes` must hold at least one source, but got none.")
        _check_mixture(sampler, tasks_per_step, stopping)
        check_positive("accumulation", accumulation, whole=True)
        check_positive("world_size", world_size, whole=True)
        if not 0 <= rank < world_size:
            raise ValueError(f"`rank` must be in 0 .. {world_size - 1}, but got {rank!r}.")
        self.sizes = {name: replace(size, name=name) for name, size in sizes.items()}
        if sampler is not None:
            sampler.check_sources(list(sizes))
        self.sampler = sampler
        self.tasks_per_step = tasks_per_step
        self.stopping = stopping
        self.accumulation = accumulation
        self.world_size = world_size
        self.rank = rank
        self.seed = seed
        self.keeps_micro_batches = keeps_micro_batches
        self.training_steps = max_steps
        if max_steps <= 0:
            self.training_steps = math.ceil(num_epochs * self.num_steps)
        self.settled = settled
        self.epoch = 0
        self._first_step = 0

    def set_epoch(self, epoch: int, *, first_step: int | None = None) -> None:
        """Chooses the epoch that the next iteration gives.

        Args:
            epoch: The epoch.
            first_step: The step that it is looked at from. Micro-batches of earlier steps are
                given as empty ones, at no cost: a run that is resumed passes over them.
                ``None``: as it is in the same epoch, else 0.
        """
        if first_step is not None or epoch != self.epoch:
            self._first_step = first_step or 0
        self.epoch = epoch

    @property
    def num_steps(self) -> int:
        """Optimizer steps of an epoch."""
        sizes = list(self.sizes.values())
        if self.sampler is None:
            return num_rounds(sizes, self.stopping)
        return -(-self.sampler.num_draws(sizes) // int(self.tasks_per_step))

    @property
    def rows_per_step(self) -> float:
        """Rows of an optimizer step over all ranks and micro-batches, on average."""
        sizes = list(self.sizes.values())
        if self.sampler is None:
            draws = draws_in_rounds(sizes, self.stopping)
            rows = sum(size.rows_in(count) for size, count in zip(sizes, draws, strict=True))
            return rows / self.num_steps
        return int(self.tasks_per_step) / draws_per_row(self.sampler.mean_rates(sizes), sizes)

    def rates(self, progress: float) -> dict[str, float]:
        """Rate of each source in examples; none where nothing is drawn.

        Args:
            progress: How far the training is, from 0 to 1.
        """
        if self.sampler is None:
            return {}
        rates = self.sampler.rates(list(self.sizes.values()), progress)
        return dict(zip(self.sizes, rates, strict=True))

    def __len__(self) -> int:
        return self.num_steps * self.accumulation

    def __iter__(self) -> Iterator[list[Draw]]:
        for _ in range(self._first_step * self.accumulation):
            yield []
        names = list(self.sizes)
        draws_by_source = [
            self._draws_of(name, skipped)
            for name, skipped in zip(names, self._num_skipped(), strict=True)
        ]
        for sources in self._steps():
            step = [(names[source], next(draws_by_source[source])) for source in sources]
            for micro_batch in range(self.accumulation):
                yield self._micro_batch(step, micro_batch)

    def _steps(self) -> Iterator[list[int]]:
        """Positions of the sources that each step draws, from the first step on."""
        if self.sampler is None:
            sizes = list(self.sizes.values())
            yield from rounds(sizes, self.stopping, start=self._first_step)
            return
        per_step = int(self.tasks_per_step)
        draws = islice(self._sampled(), self._first_step * per_step, None)
        while sources := list(islice(draws, per_step)):
            yield sources

    def _num_skipped(self) -> list[int]:
        """Draws of each source before the first step."""
        if self.sampler is None:
            draws = draws_in_rounds(list(self.sizes.values()), self.stopping)
            return [min(count, self._first_step) for count in draws]
        skipped = islice(self._sampled(), self._first_step * int(self.tasks_per_step))
        counts = Counter(skipped)
        return [counts[source] for source in range(len(self.sizes))]

    def _sampled(self) -> Iterator[int]:
        """Positions of the sources that the sampler draws in this epoch."""
        assert self.sampler is not None
        if isinstance(self.sampler, AdaptiveSampler) and self.settled:
            return self._drawn_at(self.settled, self.sampler)
        generator = torch.Generator().manual_seed(self._seed_of("draws"))
        first, end = (epoch * self.num_steps for epoch in (self.epoch, self.epoch + 1))
        span = Span(first / self.training_steps, end / self.training_steps)
        return iter(self.sampler.draws(list(self.sizes.values()), generator, span))

    def _drawn_at(self, settled: SettledRates, sampler: AdaptiveSampler) -> Iterator[int]:
        """Likewise, segment after segment at the rates that the run has settled."""
        sizes, first_step = list(self.sizes.values()), self.epoch * self.num_steps
        left = sampler.num_draws(sizes)
        segments = settled.between(
            first_step, first_step + self.num_steps, every=sampler.update_every
        )
        for segment, num_steps, rates in segments:
            num_draws = min(left, num_steps * int(self.tasks_per_step))
            generator = torch.Generator().manual_seed(self._seed_of("draws", segment))
            yield from random_draws(rates, sizes, num_draws, generator)
            left -= num_draws

    def _draws_of(self, source: str, skipped: int) -> Iterator[Rows]:
        """Rows of one source's draws, without end. Nothing is shuffled before its first draw."""
        size = self.sizes[source]
        if size.is_stream:
            for index in count(skipped):
                yield np.arange(index * size.batch_size, (index + 1) * size.batch_size)
        first_pass, first_batch = divmod(skipped, size.num_batches)
        for pass_index in count(first_pass):
            generator = np.random.default_rng(self._seed_of("rows", source, pass_index))
            yield from _batches_of_pass(size, generator, first_batch)
            first_batch = 0

    def _micro_batch(self, step: list[tuple[str, Rows]], micro_batch: int) -> list[Draw]:
        """What this rank gets of a step in one of its micro-batches."""
        draws = []
        for source, rows in step:
            own = self._dealt(source, rows, micro_batch)
            if len(own):
                draws.append(Draw(source, tuple(own.tolist()), self.epoch, seed=self.seed))
            elif self.world_size > 1:
                draws.append(Draw(source, (int(rows[0]),), self.epoch, is_filler=True))
        return draws

    def _dealt(self, source: str, rows: Rows, micro_batch: int) -> Rows:
        """Rows of a draw that this rank sees in one micro-batch."""
        slot, num_slots = micro_batch, self.accumulation
        if self.keeps_micro_batches:
            rows = share(rows, micro_batch, self.accumulation)
            slot, num_slots = 0, 1
        if self.sizes[source].is_stream:
            # Positions go round the ranks, so that each rank can keep to shards of its own.
            own = rows[rows % self.world_size == self.rank]
            return share(own, slot, num_slots)
        return share(rows, slot * self.world_size + self.rank, num_slots * self.world_size)

    def _seed_of(self, *names: object) -> int:
        """Seed of one use of randomness; 63 bits, because PyTorch's seeds are signed."""
        return seed_of(self.seed, self.epoch, *names) >> 1


def _batches_of_pass(
    size: SourceSize, generator: np.random.Generator, first: int
) -> Iterator[Rows]:
    """Rows of the draws of one pass over a source, from the one of that number on."""
    if size.token_batches is not None:
        yield from size.token_batches.shuffled(generator)[first:]
        return
    rows = generator.permutation(size.num_rows)
    for start in range(first * size.batch_size, size.num_rows, size.batch_size):
        yield rows[start : start + size.batch_size]


def share(rows: Rows, slot: int, num_slots: int) -> Rows:
    """One slot's share of the rows; shares differ by one row at most, larger ones first.

    Example:
        >>> [share(np.arange(5), slot, 3).tolist() for slot in range(3)]
        [[0, 1], [2, 3], [4]]
    """
    size, rest = divmod(len(rows), num_slots)
    start = slot * size + min(slot, rest)
    return rows[start : start + size + (slot < rest)]


def _check_mixture(
    sampler: TaskSampler | None, tasks_per_step: int | Literal["all"], stopping: str
) -> None:
    check_stopping(stopping)
    if tasks_per_step == "all":
        if sampler is not None:
            raise ValueError(
                f"`sampler` must be left out with `tasks_per_step` 'all', which draws every "
                f"source in every step, but got {sampler!r}. Remove it, or give a number as "
                f"`tasks_per_step`."
            )
        return
    if isinstance(tasks_per_step, str):
        raise ValueError(
            f"`tasks_per_step` must be a positive whole number or 'all', but got "
            f"{tasks_per_step!r} (a string)."
        )
    check_positive("tasks_per_step", tasks_per_step, whole=True)
    if not isinstance(sampler, TaskSampler):
        raise TypeError(
            f"`sampler` must be a sampler unless `tasks_per_step` is 'all', but got {sampler!r}. "
            f"Build one, for example `SAMPLERS.build('proportional')`."
        )
    if stopping != "all_exhausted":
        raise ValueError(
            f"`stopping` must be left out unless `tasks_per_step` is 'all', but got {stopping!r}. "
            f"Give it to the sampler instead: {{'name': 'round_robin', 'stopping': {stopping!r}}}."
        )
