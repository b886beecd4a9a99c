# SPDX-License-Identifier: Apache-2.0
"""Laws that every registered task sampler obeys, and proof that a faulty one is caught."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import torch

from hf_mtl.data import (
    SAMPLERS,
    Draw,
    RoundRobinSampler,
    SourceSize,
    StepPlan,
    TaskSampler,
    TemperatureSampler,
)

# One source, unequal ones in both orders, unequal batches, sources smaller than their batch.
SIZES = [
    [SourceSize(5, 2)],
    [SourceSize(8, 2), SourceSize(3, 2)],
    [SourceSize(3, 2), SourceSize(8, 2)],
    [SourceSize(40, 3), SourceSize(1, 8), SourceSize(9, 1)],
]
ENTRIES = [
    *SAMPLERS.names(),
    {"name": "proportional", "cap": 4},
    {"name": "temperature", "temperature": 1.0},
    {"name": "temperature", "temperature": 5.0, "cap": 6},
    {"name": "round_robin", "stopping": "first_exhausted"},
    {"name": "round_robin", "stopping": "all_exhausted_without_replacement"},
]

over_samplers = pytest.mark.parametrize(
    "sampler", [SAMPLERS.build(entry) for entry in ENTRIES], ids=str
)
over_sizes = pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"{len(sizes)}-sources")


def drawn(sampler: TaskSampler, sizes: Sequence[SourceSize], seed: int = 0) -> list[int]:
    return list(sampler.draws(sizes, torch.Generator().manual_seed(seed)))


def assert_keeps_its_promise(sampler: TaskSampler, sizes: Sequence[SourceSize]) -> None:
    """An epoch has exactly the promised number of draws, and at least one."""
    assert len(drawn(sampler, sizes)) == sampler.num_draws(sizes) >= 1


def assert_in_range(sampler: TaskSampler, sizes: Sequence[SourceSize]) -> None:
    """Every draw is the position of a source, as a plain integer."""
    assert all(type(source) is int for source in drawn(sampler, sizes))
    assert set(drawn(sampler, sizes)) <= set(range(len(sizes)))


def assert_reproducible(sampler: TaskSampler, sizes: Sequence[SourceSize]) -> None:
    """The same seed gives the same draws, and the global generator is left alone."""
    state = torch.get_rng_state()
    first = drawn(sampler, sizes, seed=7)
    torch.rand(3)
    assert drawn(sampler, sizes, seed=7) == first
    torch.set_rng_state(state)
    drawn(sampler, sizes, seed=7)
    assert torch.equal(torch.get_rng_state(), state)


def assert_rates_hold(sampler: TaskSampler, sizes: Sequence[SourceSize]) -> None:
    """Over many epochs each source's share of the examples is its declared rate.

    Sizes have to be such that a pass or a cap ends with a whole batch.
    """
    counts: Counter[int] = Counter()
    for seed in range(200):
        counts.update(drawn(sampler, sizes, seed))
    rows = torch.tensor([counts[i] * size.mean_batch_rows for i, size in enumerate(sizes)])
    torch.testing.assert_close(
        (rows / rows.sum()).tolist(), sampler.rates(sizes), atol=0.02, rtol=0
    )


def assert_rows_come_once_a_pass(sampler: TaskSampler, sizes: Sequence[SourceSize]) -> None:
    """Under a step plan every row of a source comes once before any comes twice."""
    plan = StepPlan({str(i): size for i, size in enumerate(sizes)}, sampler=sampler)
    draws: list[Draw] = [draw for batch in plan for draw in batch]
    for i, size in enumerate(sizes):
        rows = [row for draw in draws if draw.source == str(i) for row in draw.rows]
        for start in range(0, len(rows), size.num_rows):
            one_pass = rows[start : start + size.num_rows]
            assert len(set(one_pass)) == len(one_pass)
            assert set(one_pass) <= set(range(size.num_rows))


@over_samplers
@over_sizes
@pytest.mark.parametrize(
    "assert_law",
    [
        assert_keeps_its_promise,
        assert_in_range,
        assert_reproducible,
        assert_rows_come_once_a_pass,
    ],
)
def test_a_sampler_obeys_the_law(sampler, sizes, assert_law):
    assert_law(sampler, sizes)


@over_samplers
@pytest.mark.parametrize(
    "sizes",
    [
        [SourceSize(120, 2), SourceSize(120, 12)],
        [SourceSize(24, 4), SourceSize(240, 4), SourceSize(72, 12)],
    ],
)
def test_examples_come_at_the_declared_rates_whatever_the_batch_sizes(sampler, sizes):
    if getattr(sampler, "cap", None):  # a cap below a batch cannot hold exactly
        sampler = type(sampler)(cap=48)
    assert_rates_hold(sampler, sizes)


def assert_does_without_the_length_of_a_stream(
    sampler: TaskSampler, sizes: Sequence[SourceSize]
) -> None:
    """The draws are the same whatever number stands for the length of a stream beside others."""
    short, long = (
        drawn(sampler, [SourceSize(num_rows, 4, is_stream=True), *sizes])[:100]
        for num_rows in (4_000, 40_000)
    )
    assert short == long


@over_samplers
@over_sizes
def test_a_sampler_needs_the_sizes_of_sources_or_does_without(sampler, sizes):
    if not sampler.needs_sizes:
        assert_does_without_the_length_of_a_stream(sampler, sizes)


@over_samplers
def test_a_config_builds_an_equal_sampler(sampler):
    assert SAMPLERS.build(SAMPLERS.to_config(sampler)) == sampler


@over_samplers
def test_rates_add_up_to_one(sampler):
    for sizes in SIZES:
        assert sum(sampler.rates(sizes)) == pytest.approx(1)


@dataclass(frozen=True)
class OneTooFew(TaskSampler):
    """Promises a draw more than it gives: the length bug that dataloaders of others have."""

    def num_draws(self, sizes: Sequence[SourceSize]) -> int:
        return RoundRobinSampler().num_draws(sizes)

    def draws(self, sizes: Sequence[SourceSize], generator: torch.Generator) -> Iterator[int]:
        yield from list(RoundRobinSampler().draws(sizes, generator))[:-1]

    def rates(self, sizes: Sequence[SourceSize]) -> list[float]:
        return RoundRobinSampler().rates(sizes)


@dataclass(frozen=True)
class DrawsInsteadOfExamples(OneTooFew):
    """Draws sources equally often and calls that equal rates."""

    def draws(self, sizes: Sequence[SourceSize], generator: torch.Generator) -> Iterator[int]:
        num_draws = self.num_draws(sizes)
        yield from torch.randint(len(sizes), (num_draws,), generator=generator).tolist()

    def rates(self, sizes: Sequence[SourceSize]) -> list[float]:
        return [1 / len(sizes)] * len(sizes)


@dataclass(frozen=True)
class GlobalRandomness(OneTooFew):
    """Draws from the generator that dropout uses."""

    def draws(self, sizes: Sequence[SourceSize], generator: torch.Generator) -> Iterator[int]:
        yield from torch.randint(len(sizes), (self.num_draws(sizes),)).tolist()


@dataclass(frozen=True)
class OutOfRange(OneTooFew):
    """Counts sources from one."""

    def draws(self, sizes: Sequence[SourceSize], generator: torch.Generator) -> Iterator[int]:
        yield from (i + 1 for i in RoundRobinSampler().draws(sizes, generator))


@pytest.mark.parametrize(
    ("assert_law", "faulty"),
    [
        (assert_keeps_its_promise, OneTooFew()),
        (assert_in_range, OutOfRange()),
        (assert_reproducible, GlobalRandomness()),
        (assert_rates_hold, DrawsInsteadOfExamples()),
        (assert_does_without_the_length_of_a_stream, TemperatureSampler()),
    ],
)
def test_the_law_catches_a_faulty_sampler(assert_law, faulty):
    sizes = [SourceSize(120, 2), SourceSize(120, 12)]
    with pytest.raises(AssertionError):
        assert_law(faulty, sizes)
