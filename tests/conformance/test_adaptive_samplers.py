# SPDX-License-Identifier: Apache-2.0
"""Laws that every registered sampler obeys that follows the run, beside those of all samplers."""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from hf_mtl.data import (
    SAMPLERS,
    AdaptiveSampler,
    Segment,
    SettledRates,
    SourceSize,
    StepPlan,
)
from hf_mtl.data.samplers.adaptive import State

NAMES = [name for name in SAMPLERS.names() if issubclass(SAMPLERS.get(name), AdaptiveSampler)]
SIZES = [SourceSize(40, 3, name="a"), SourceSize(2, 8, name="b"), SourceSize(9, 1, name="c")]

over_samplers = pytest.mark.parametrize(
    "sampler", [SAMPLERS.build(each) for each in NAMES], ids=NAMES
)


def history(num_sources: int, num_segments: int = 12) -> list[tuple[Segment, list[Any], list[Any]]]:
    """Segments, each followed by losses and scores of an evaluation; some are extreme or lack."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(num_segments):
        losses, evaluated = random.choice([0.0, 1e-9, 0.5, 2.0, 3.0, 500.0], (2, num_sources))
        scores = random.choice([-3.0, 0.0, 0.5, 0.9], num_sources)
        present = random.random(num_sources) < 0.8
        segment = Segment(
            losses=[each if here else None for each, here in zip(losses, present, strict=True)],
            counts=[50 if here else 0 for here in present],
            chances=[1 / num_sources] * num_sources,
            num_steps=100,
        )
        lacking = [None if each < 0.1 else each for each in evaluated]
        found.append((segment, lacking, [None if each == 0 else each for each in scores]))
    return found


def permuted(values: Sequence[Any], order: Sequence[int]) -> list[Any]:
    return [values[i] for i in order]


def states(sampler: AdaptiveSampler, order: Sequence[int] = (0, 1, 2)) -> list[State]:
    """The state at each moment of the history, with the sources in some order."""
    found = [sampler.init_state(len(order))]
    for segment, losses, scores in history(3):
        shown = Segment(
            permuted(segment.losses, order),
            permuted(segment.counts, order),
            permuted(segment.chances, order),
            segment.num_steps,
        )
        found.append(sampler.state_after_segment(found[-1], shown))
        if sampler.needs_evaluation:
            now = permuted(losses, order), permuted(scores, order)
            found.append(sampler.state_after_evaluation(found[-1], *now))
    return found


def assert_every_source_has_a_rate(sampler: AdaptiveSampler) -> None:
    """Rates are above 0 and together 1 whatever happens; alone, a source has all of it."""
    for state in states(sampler):
        rates = sampler.adapted_rates(SIZES, state)
        assert min(rates) > 0
        assert sum(rates) == pytest.approx(1)
    alone = states(sampler, order=(1,))
    assert all(sampler.adapted_rates(SIZES[1:2], each) == [pytest.approx(1)] for each in alone)


def assert_follows_the_run(sampler: AdaptiveSampler) -> None:
    """What it is told changes its rates."""
    rates = [sampler.adapted_rates(SIZES, state) for state in states(sampler)]
    assert rates[0] != rates[-1]


def assert_the_order_of_sources_is_irrelevant(sampler: AdaptiveSampler) -> None:
    """Each source has the rate that it has in another order of the sources."""
    order = (2, 0, 1)
    for here, there in zip(states(sampler), states(sampler, order), strict=True):
        found = sampler.adapted_rates(permuted(SIZES, order), there)
        assert found == pytest.approx(permuted(sampler.adapted_rates(SIZES, here), order))


def assert_the_state_survives_json(sampler: AdaptiveSampler) -> None:
    """Through a checkpoint and back, the state and what becomes of it are the same to the bit."""
    for state, (segment, losses, scores) in zip(states(sampler), history(3), strict=False):
        read = json.loads(json.dumps(state))
        assert read == state
        assert sampler.adapted_rates(SIZES, read) == sampler.adapted_rates(SIZES, state)
        for after in (
            lambda now, segment=segment: sampler.state_after_segment(now, segment),
            lambda now, told=(losses, scores): sampler.state_after_evaluation(now, *told),
        ):
            assert after(read) == after(state)


def assert_a_state_is_never_changed(sampler: AdaptiveSampler) -> None:
    """States are new ones: a checkpoint holds that of its step."""
    state = sampler.init_state(3)
    for segment, losses, scores in history(3):
        before = deepcopy(state)
        after = sampler.state_after_segment(state, segment)
        sampler.adapted_rates(SIZES, state)
        assert state == before
        state = after
        before = deepcopy(state)
        sampler.state_after_evaluation(state, losses, scores)
        assert state == before


LAWS = [
    assert_every_source_has_a_rate,
    assert_follows_the_run,
    assert_the_order_of_sources_is_irrelevant,
    assert_the_state_survives_json,
    assert_a_state_is_never_changed,
]


@over_samplers
@pytest.mark.parametrize("assert_law", LAWS)
def test_an_adaptive_sampler_obeys_the_law(sampler, assert_law):
    assert_law(sampler)


@over_samplers
def test_outside_of_a_run_the_rates_are_those_of_the_base(sampler):
    base = SAMPLERS.build(sampler.base)
    assert sampler.rates(SIZES) == base.rates(SIZES)
    assert sampler.num_draws(SIZES) == base.num_draws(SIZES)


@over_samplers
@pytest.mark.parametrize("tasks_per_step", [1, 2])
def test_an_epoch_has_the_promised_steps_whatever_the_rates_become(sampler, tasks_per_step):
    sizes = {size.name: SourceSize(10 * size.num_rows, size.batch_size) for size in SIZES}
    sampler = SAMPLERS.build({**SAMPLERS.to_config(sampler), "update_every": 7})
    settled = SettledRates()
    plan = StepPlan(sizes, sampler=sampler, tasks_per_step=tasks_per_step, settled=settled)
    told = states(sampler)
    for segment in range(2 * plan.num_steps // 7 + 1):
        settled.settle(segment, sampler.adapted_rates(SIZES, told[segment % len(told)]))
    for epoch in (0, 1):
        plan.set_epoch(epoch)
        draws = [len(batch) for batch in plan]
        assert len(draws) == plan.num_steps
        assert sum(draws) == sampler.num_draws(list(plan.sizes.values()))


@dataclass(frozen=True)
class WinnerTakesAll(AdaptiveSampler):
    """Forgets all sources but one, and changes states in their place."""

    def init_state(self, num_sources: int) -> State:
        return {"losses": [0.0] * num_sources}

    def adapted_rates(self, sizes: Sequence[SourceSize], state: State) -> list[float]:
        winner = state["losses"].index(max(state["losses"]))
        return [float(source == winner) for source in range(len(sizes))]

    def state_after_segment(self, state: State, segment: Segment) -> State:
        for source, loss in enumerate(segment.losses):
            state["losses"][source] = loss or 0.0
        return state


@dataclass(frozen=True)
class NeverListens(WinnerTakesAll):
    """Remembers what JSON cannot say, and does nothing with it."""

    def init_state(self, num_sources: int) -> State:
        return {"seen": (num_sources,)}

    def adapted_rates(self, sizes: Sequence[SourceSize], state: State) -> list[float]:
        return self.rates(sizes)

    def state_after_segment(self, state: State, segment: Segment) -> State:
        return state


@dataclass(frozen=True)
class FirstComesFirst(NeverListens):
    """Has a favourite."""

    def adapted_rates(self, sizes: Sequence[SourceSize], state: State) -> list[float]:
        return [0.5, *[0.5 / (len(sizes) - 1)] * (len(sizes) - 1)]


@pytest.mark.parametrize(
    ("assert_law", "faulty"),
    [
        (assert_every_source_has_a_rate, WinnerTakesAll()),
        (assert_the_order_of_sources_is_irrelevant, FirstComesFirst()),
        (assert_a_state_is_never_changed, WinnerTakesAll()),
        (assert_follows_the_run, NeverListens()),
        (assert_the_state_survives_json, NeverListens()),
    ],
)
def test_the_law_catches_a_faulty_sampler(assert_law, faulty):
    with pytest.raises(AssertionError):
        assert_law(faulty)
