# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint keeps of the mixture, and what it must not."""

from itertools import islice

import pytest

from hf_mtl.data import SAMPLERS, SourceSize, StepPlan
from hf_mtl.training.mixture import Mixture

PROBABILITIES = {"web": 1, "own": 2, "more": 3}
POINTS = [
    {"at": 0, "probabilities": {**PROBABILITIES, "web": 0}},
    {"at": 1, "probabilities": PROBABILITIES},
]
FIELDS = {"fixed": {"probabilities": PROBABILITIES}, "scheduled": {"points": POINTS}}
WITHOUT_SIZES = [
    {"name": name, **FIELDS.get(name, {})}
    for name in SAMPLERS.names()
    if not SAMPLERS.get(name).needs_sizes
]
STOPPINGS = ("all_exhausted", "first_exhausted", "all_exhausted_without_replacement")
MIXTURES = [
    {"sampler": {"name": "online_mixing", "base": "uniform"}},
    *({"sampler": name, "tasks_per_step": draws} for name in WITHOUT_SIZES for draws in (1, 2)),
    *({"tasks_per_step": "all", "stopping": stopping} for stopping in STOPPINGS),
]


def plan_of(num_rows, *, sampler=None, is_nominal=True, **given):
    sizes = {
        "web": SourceSize(num_rows, 4, is_stream=True, is_nominal=is_nominal),
        "own": SourceSize(10, 6),
        "more": SourceSize(300, 2),
    }
    return StepPlan(sizes, sampler=None if sampler is None else SAMPLERS.build(sampler), **given)


@pytest.mark.parametrize("mixture", MIXTURES, ids=str)
def test_a_longer_run_on_a_stream_of_unknown_length_begins_with_the_same_draws(mixture):
    short, long = (plan_of(length, max_steps=100, **mixture) for length in (1000, 2000))
    num_batches = min(len(list(short)), 100)
    assert list(islice(long, num_batches)) == list(islice(short, num_batches))
    assert Mixture.of(short) == Mixture.of(long)
    assert Mixture.of(long).differences(Mixture.of(short).to_dict()) == []


def test_a_stream_that_became_longer_is_another():
    short, long = (
        Mixture.of(plan_of(size, is_nominal=False, tasks_per_step="all")) for size in (1000, 2000)
    )
    (difference,) = long.differences(short.to_dict())
    assert difference.startswith("`sources` was {'web': [1000, 4]")


def test_rates_that_change_belong_to_the_number_of_steps():
    sampler = {"name": "scheduled", "points": POINTS}
    saved = Mixture.of(plan_of(1000, sampler=sampler, max_steps=100)).to_dict()
    longer = Mixture.of(plan_of(1000, sampler=sampler, max_steps=200))
    assert longer.differences(saved) == ["`training_steps` was 100 and is 200"]


def test_rates_that_stay_do_not():
    saved = Mixture.of(plan_of(1000, sampler="sqrt", max_steps=100)).to_dict()
    assert Mixture.of(plan_of(1000, sampler="sqrt", max_steps=200)).differences(saved) == []
