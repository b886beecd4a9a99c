# SPDX-License-Identifier: Apache-2.0
"""Which rows each optimizer step sees: a pure function of seed and epoch, the same on every rank.

A step takes one or more draws. A draw's rows are dealt out to the slots of the step, one slot for
each (micro-batch, rank), so that a step sees the same rows however many ranks and micro-batches
share the work. Nothing is stored but the epoch: a resumed run skips ahead in the same sequence.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import count, islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

from hf_mtl.data.draw import Draw
from hf_mtl.data.numbers import check_positive
from hf_mtl.data.samplers import SourceSize, TaskSampler
from hf_mtl.data.samplers.by_rate import draws_per_row
from hf_mtl.data.samplers.rounds import check_stopping, draws_in_rounds, num_rounds, rounds

__all__ = ["StepPlan"]

Rows = NDArray[np.int64]


class StepPlan(Sampler[list[Draw]]):
    """The micro-batches of one rank, epoch after epoch; a batch sampler for a ``DataLoader``.

    Every optimizer step is exactly ``accumulation`` micro-batches. Within an epoch the draws of a
    source walk through a fresh permutation of its rows for each pass, so that each row comes once
    a pass. A draw with fewer rows than slots leaves some slots without it: a micro-batch may hold
    fewer draws than its neighbours, or none.

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

    Raises:
        KeyError: If the stopping rule is unknown.
        TypeError: If a number is none.
        ValueError: If there is no source, a number is out of range, or sampler, stopping rule and
            ``tasks_per_step`` contradict each other.

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
    ) -> None:
        if not sizes:
            raise ValueError("`sizes` must hold at least one source, but got none.")
        _check_mixture(sampler, tasks_per_step, stopping)
        check_positive("accumulation", accumulation, whole=True)
        check_positive("world_size", world_size, whole=True)
        if not 0 <= rank < world_size:
            raise ValueError(f"`rank` must be in 0 .. {world_size - 1}, but got {rank!r}.")
        self.sizes = dict(sizes)
        self.sampler = sampler
        self.tasks_per_step = tasks_per_step
        self.stopping = stopping
        self.accumulation = accumulation
        self.world_size = world_size
        self.rank = rank
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next iteration gives."""
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
        return int(self.tasks_per_step) / draws_per_row(self.sampler.rates(sizes), sizes)

    def __len__(self) -> int:
        return self.num_steps * self.accumulation

    def __iter__(self) -> Iterator[list[Draw]]:
        names = list(self.sizes)
        draws_by_source = [self._draws_of(name) for name in names]
        for sources in self._steps():
            step = [(names[source], next(draws_by_source[source])) for source in sources]
            for micro_batch in range(self.accumulation):
                slot = micro_batch * self.world_size + self.rank
                yield self._in_slot(step, slot)

    def _steps(self) -> Iterator[list[int]]:
        """Positions of the sources that each step draws."""
        sizes = list(self.sizes.values())
        if self.sampler is None:
            yield from rounds(sizes, self.stopping)
            return
        generator = torch.Generator().manual_seed(self._seed_of("draws"))
        draws = iter(self.sampler.draws(sizes, generator))
        while sources := list(islice(draws, int(self.tasks_per_step))):
            yield sources

    def _draws_of(self, source: str) -> Iterator[Rows]:
        """Rows of one source's draws, without end. Nothing is shuffled before its first draw."""
        size = self.sizes[source]
        for pass_index in count():
            generator = np.random.default_rng(self._seed_of("rows", source, pass_index))
            rows = generator.permutation(size.num_rows)
            for start in range(0, size.num_rows, size.batch_size):
                yield rows[start : start + size.batch_size]

    def _in_slot(self, step: list[tuple[str, Rows]], slot: int) -> list[Draw]:
        """The part of a step that one slot gets."""
        num_slots = self.accumulation * self.world_size
        parts = ((source, _dealt(rows, slot, num_slots)) for source, rows in step)
        return [Draw(source, tuple(rows.tolist())) for source, rows in parts if len(rows)]

    def _seed_of(self, *names: object) -> int:
        """Seed of one use of randomness; 63 bits, because PyTorch's seeds are signed."""
        text = repr((self.seed, self.epoch, *names))
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1


def _dealt(rows: Rows, slot: int, num_slots: int) -> Rows:
    """One slot's share of the rows; shares differ by one row at most, larger ones first."""
    share, rest = divmod(len(rows), num_slots)
    start = slot * share + min(slot, rest)
    return rows[start : start + share + (slot < rest)]


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
