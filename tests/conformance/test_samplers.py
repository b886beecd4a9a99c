# SPDX-License-Identifier: Apache-2.0
"""Laws that every registered task sampler obeys, and proof that a faulty one is caught."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pytest
import torch

from hf_mtl.data import (
    SAMPLERS,
    WHOLE,
    Draw,
    RoundRobinSampler,
    SourceSize,
    Span,
    StepPlan,
    TaskSampler,
    TemperatureSampler,
)

# One source, unequal ones in both orders, unequal batches, sources smaller than their batch.
NAMES = "abc"
SIZES = [
    [SourceSize(5, 2, name="a")],
    [SourceSize(8, 2, name="a"), SourceSize(3, 2, name="b")],
    [SourceSize(3, 2, name="a"), SourceSize(8, 2, name="b")],
    [SourceSize(40, 3, name="a"), SourceSize(1, 8, name="b"), SourceSize(9, 1, name="c")],
]
FIELDS = {
    "fixed": {"probabilities": {"a": 1, "b": 2, "c": 3}},
    "scheduled": {
        "points": [
            {"at": 0.2, "probabilities": {"a": 1, "b": 0, "c": 1}},
            {"at": 0.8, "probabilities": {"a": 1, "b": 2, "c": 3}},
        ]
    },
    "stages": {"stages": [["a"], {"sources": ["c", "b", "a"], "sampler": "annealed"}]},
    "nested": {"groups": {"first": ["a"], "others": ["b", "c"]}, "sampler": "temperature"},
}
"""What samplers have to be given that know sources by name."""

ENTRIES: list[Any] = [
    *({"name": name, **FIELDS.get(name, {})} for name in SAMPLERS.names()),
    {"name": "unimax", "max_passes": 1.0, "rows_per_epoch": 4},
    {"name": "proportional", "cap": 4},
    {"name": "temperature", "temperature": 1.0},
    {"name": "temperature", "temperature": 5.0, "cap": 6},
    {"name": "round_robin", "stopping": "first_exhausted"},
    {"name": "round_robin", "stopping": "all_exhausted_without_replacement"},
]

over_entries = pytest.mark.parametrize("entry", ENTRIES, ids=str)
over_sizes = pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: f"{len(sizes)}-sources")


def fitted(entry: Any, sizes: Sequence[SourceSize]) -> TaskSampler:
    """The sampler of an entry, told of these sources only."""
    absent = set(NAMES) - {size.name for size in sizes}
    sampler = SAMPLERS.build(without(entry, absent))
    sampler.check_sources([size.name for size in sizes])
    return sampler


def without(value: Any, absent: Collection[str]) -> Any:
    """A value without the names, and without the lists that are empty then."""
    if isinstance(value, Mapping):
        kept = {key: without(each, absent) for key, each in value.items() if key not in absent}
        return {key: each for key, each in kept.items() if each != []}
    if isinstance(value, list):
        return [without(each, absent) for each in value if each not in list(absent)]
    return value


def drawn(
    sampler: TaskSampler, sizes: Sequence[SourceSize], seed: int = 0, span: Span = WHOLE
) -> list[int]:
    return list(sampler.draws(sizes, torch.Generator().manual_seed(seed), span))


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
        (rows / rows.sum()).tolist(), sampler.mean_rates(sizes), atol=0.02, rtol=0
    )


def assert_rows_come_once_a_pass(
    sampler: TaskSampler, sizes: Sequence[SourceSize], plan_class: type[StepPlan] = StepPlan
) -> None:
    """Under a step plan every row of a source comes once before any comes twice."""
    plan = plan_class({size.name: size for size in sizes}, sampler=sampler)
    draws: list[Draw] = [draw for batch in plan for draw in batch]
    for size in sizes:
        rows = [row for draw in draws if draw.source == size.name for row in draw.rows]
        for start in range(0, len(rows), size.num_rows):
            one_pass = rows[start : start + size.num_rows]
            assert len(set(one_pass)) == len(one_pass)
            assert set(one_pass) <= set(range(size.num_rows))


def assert_keeps_its_promise_in_every_epoch(
    sampler: TaskSampler, sizes: Sequence[SourceSize]
) -> None:
    """Epochs are equally long, whichever part of the training they are."""
    for span in (Span(0.0, 0.3), Span(0.3, 0.6), Span(0.9, 1.2)):
        assert len(drawn(sampler, sizes, span=span)) == sampler.num_draws(sizes)


def assert_every_source_is_drawn(sampler: TaskSampler, sizes: Sequence[SourceSize]) -> None:
    """No source has a rate of 0 throughout, and no rate is negative or beyond 1."""
    assert min(sampler.mean_rates(sizes)) > 0
    for progress in (0.0, 0.3, 1.0):
        assert sum(sampler.rates(sizes, progress)) == pytest.approx(1)
        assert min(sampler.rates(sizes, progress)) >= 0


@over_entries
@over_sizes
@pytest.mark.parametrize(
    "assert_law",
    [
        assert_keeps_its_promise,
        assert_keeps_its_promise_in_every_epoch,
        assert_every_source_is_drawn,
        assert_in_range,
        assert_reproducible,
        assert_rows_come_once_a_pass,
    ],
)
def test_a_sampler_obeys_the_law(entry, sizes, assert_law):
    assert_law(fitted(entry, sizes), sizes)


@over_entries
@pytest.mark.parametrize(
    "sizes",
    [
        [SourceSize(120, 2, name="a"), SourceSize(120, 12, name="b")],
        [
            SourceSize(24, 4, name="a"),
            SourceSize(240, 4, name="b"),
            SourceSize(72, 12, name="c"),
        ],
    ],
)
def test_examples_come_at_the_declared_rates_whatever_the_batch_sizes(entry, sizes):
    if "cap" in entry:  # a cap below a batch cannot hold exactly
        entry = {**entry, "cap": 48}
    if "rows_per_epoch" in entry:  # nor can draws in proportion be as few
        entry = {**entry, "rows_per_epoch": 300}
    assert_rates_hold(fitted(entry, sizes), sizes)


def assert_does_without_the_length_of_a_stream(
    sampler: TaskSampler, sizes: Sequence[SourceSize]
) -> None:
    """The draws are the same whatever number stands for the length of a stream beside others."""
    short, long = (
        plan_draws(sampler, [SourceSize(num_rows, 4, is_stream=True, name="c"), *sizes])
        for num_rows in (4_000, 40_000)
    )
    assert short == long


def plan_draws(sampler: TaskSampler, sizes: Sequence[SourceSize]) -> list[str]:
    """Sources that a run of 200 steps draws."""
    plan = StepPlan({size.name: size for size in sizes}, sampler=sampler, max_steps=200)
    return [draw.source for batch in islice(plan, 200) for draw in batch]


@over_entries
@pytest.mark.parametrize("sizes", SIZES[:-1], ids=lambda sizes: f"{len(sizes)}-sources")
def test_a_sampler_needs_the_sizes_of_sources_or_does_without(entry, sizes):
    stream = SourceSize(1, 1, name="c")
    sampler = fitted(entry, [stream, *sizes])
    if not sampler.needs_sizes:
        assert_does_without_the_length_of_a_stream(sampler, sizes)


@over_entries
def test_a_config_builds_an_equal_sampler(entry):
    sampler = SAMPLERS.build(entry)
    assert SAMPLERS.build(SAMPLERS.to_config(sampler)) == sampler


@over_entries
def test_a_config_survives_json(entry):
    config = SAMPLERS.to_config(SAMPLERS.build(entry))
    assert json.loads(json.dumps(config)) == config


@over_entries
def test_rates_that_stay_do_not_count_as_changing(entry):
    sampler = fitted(entry, SIZES[-1])
    times = [sampler.rates(SIZES[-1], progress) for progress in (0.0, 0.25, 0.5, 1.0)]
    assert sampler.changes == any(rates != times[0] for rates in times)


@dataclass(frozen=True)
class OneTooFew(TaskSampler):
    """Promises a draw more than it gives: the length bug that dataloaders of others have."""

    def num_draws(self, sizes: Sequence[SourceSize]) -> int:
        return RoundRobinSampler().num_draws(sizes)

    def draws(
        self, sizes: Sequence[SourceSize], generator: torch.Generator, span: Span = WHOLE
    ) -> Iterator[int]:
        yield from list(RoundRobinSampler().draws(sizes, generator))[:-1]

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        return RoundRobinSampler().rates(sizes)


@dataclass(frozen=True)
class DrawsInsteadOfExamples(OneTooFew):
    """Draws sources equally often and calls that equal rates."""

    def draws(
        self, sizes: Sequence[SourceSize], generator: torch.Generator, span: Span = WHOLE
    ) -> Iterator[int]:
        num_draws = self.num_draws(sizes)
        yield from torch.randint(len(sizes), (num_draws,), generator=generator).tolist()

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        return [1 / len(sizes)] * len(sizes)


@dataclass(frozen=True)
class GlobalRandomness(OneTooFew):
    """Draws from the generator that dropout uses."""

    def draws(
        self, sizes: Sequence[SourceSize], generator: torch.Generator, span: Span = WHOLE
    ) -> Iterator[int]:
        yield from torch.randint(len(sizes), (self.num_draws(sizes),)).tolist()


@dataclass(frozen=True)
class NeverTheLast(OneTooFew):
    """Has a source that nobody will miss until it is too late."""

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        return [1.0, *[0.0] * (len(sizes) - 1)]


@dataclass(frozen=True)
class ShorterAtTheEnd(OneTooFew):
    """Has shorter epochs as the training goes on."""

    def draws(
        self, sizes: Sequence[SourceSize], generator: torch.Generator, span: Span = WHOLE
    ) -> Iterator[int]:
        draws = list(RoundRobinSampler().draws(sizes, generator))
        yield from draws[: round((1 - span.start) * len(draws))]


@dataclass(frozen=True)
class OutOfRange(OneTooFew):
    """Counts sources from one."""

    def draws(
        self, sizes: Sequence[SourceSize], generator: torch.Generator, span: Span = WHOLE
    ) -> Iterator[int]:
        yield from (i + 1 for i in RoundRobinSampler().draws(sizes, generator))


@pytest.mark.parametrize(
    ("assert_law", "faulty"),
    [
        (assert_keeps_its_promise, OneTooFew()),
        (assert_keeps_its_promise_in_every_epoch, ShorterAtTheEnd()),
        (assert_every_source_is_drawn, NeverTheLast()),
        (assert_in_range, OutOfRange()),
        (assert_reproducible, GlobalRandomness()),
        (assert_rates_hold, DrawsInsteadOfExamples()),
        (assert_does_without_the_length_of_a_stream, TemperatureSampler()),
    ],
)
def test_the_law_catches_a_faulty_sampler(assert_law, faulty):
    sizes = [SourceSize(120, 2, name="a"), SourceSize(120, 12, name="b")]
    with pytest.raises(AssertionError):
        assert_law(faulty, sizes)


class WithReplacement(StepPlan):
    """Takes rows at random for each draw, so that some never come."""

    def _draws_of(self, source: str, skipped: int) -> Iterator[Any]:
        size, generator = self.sizes[source], torch.Generator().manual_seed(skipped)
        while True:
            yield torch.randint(size.num_rows, (size.batch_size,), generator=generator).numpy()


def test_the_law_catches_a_faulty_plan():
    with pytest.raises(AssertionError):
        assert_rows_come_once_a_pass(RoundRobinSampler(), SIZES[-1], WithReplacement)
