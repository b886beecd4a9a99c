# SPDX-License-Identifier: Apache-2.0
"""Samplers against answers that can be worked out by hand."""

from collections import Counter

import pytest
import torch
from datasets import Dataset, interleave_datasets

from hf_mtl.data import (
    SAMPLERS,
    STOPPING_RULES,
    ProportionalSampler,
    RoundRobinSampler,
    SourceSize,
    TemperatureSampler,
    UniformSampler,
)


def drawn(sampler, sizes):
    return list(sampler.draws(sizes, torch.Generator().manual_seed(0)))


def test_proportional_draws_every_batch_of_every_source_once():
    sizes = [SourceSize(10, 4), SourceSize(2, 1)]
    assert Counter(drawn(ProportionalSampler(), sizes)) == {0: 3, 1: 2}


def test_proportional_shuffles_the_sources():
    draws = drawn(ProportionalSampler(), [SourceSize(50, 1), SourceSize(50, 1)])
    assert draws != sorted(draws)


def test_a_cap_bounds_the_rows_of_a_large_source_only():
    sizes = [SourceSize(1000, 10), SourceSize(20, 10)]
    assert Counter(drawn(ProportionalSampler(cap=50), sizes)) == {0: 5, 1: 2}
    assert ProportionalSampler(cap=50).rates(sizes) == [50 / 70, 20 / 70]


def test_temperature_two_takes_the_square_root_of_the_sizes():
    sizes = [SourceSize(400, 10), SourceSize(100, 10)]
    assert TemperatureSampler().rates(sizes) == [20 / 30, 10 / 30]


def test_a_cap_holds_before_the_temperature():
    sizes = [SourceSize(10_000, 10), SourceSize(100, 10)]
    assert TemperatureSampler(temperature=2.0, cap=400).rates(sizes) == [20 / 30, 10 / 30]


def test_a_random_epoch_has_about_as_many_rows_as_the_sources_together():
    sizes = [SourceSize(900, 9), SourceSize(100, 1)]
    # Half of the examples from each: a row of the second source is a draw, nine of the first.
    assert UniformSampler().num_draws(sizes) == 500 / 1 + round(500 / 9)


def test_temperature_one_promises_as_many_draws_as_proportional():
    sizes = [SourceSize(70, 4), SourceSize(3, 8), SourceSize(11, 5)]
    assert TemperatureSampler(temperature=1.0).num_draws(sizes) == 18 + 1 + 3


@pytest.mark.parametrize("stopping", STOPPING_RULES)
@pytest.mark.parametrize("lengths", [[3, 4, 3], [1, 5], [5, 1], [2]])
def test_round_robin_draws_batches_as_datasets_interleaves_rows(stopping, lengths):
    rows = [Dataset.from_dict({"source": [i] * length}) for i, length in enumerate(lengths)]
    expected = interleave_datasets(rows, stopping_strategy=stopping)["source"][:]
    # Batches of four with a short one at the end count like rows.
    sizes = [SourceSize(4 * length - 1, 4) for length in lengths]
    assert drawn(RoundRobinSampler(stopping), sizes) == expected


def test_an_unknown_sampler_offers_the_nearest_name():
    with pytest.raises(KeyError, match=r"sampler 'temprature'. Did you mean 'temperature'\?"):
        SAMPLERS.build("temprature")


def test_an_unknown_field_offers_the_nearest_name():
    with pytest.raises(TypeError, match=r"Did you mean 'temperature'\?"):
        SAMPLERS.build({"name": "temperature", "temprature": 2})


def test_an_unknown_stopping_rule_offers_the_nearest_name():
    with pytest.raises(
        KeyError, match=r"Unknown stopping rule 'all_exausted'. Did you mean 'all_ex"
    ):
        RoundRobinSampler("all_exausted")


def test_a_string_is_no_temperature():
    with pytest.raises(TypeError, match=r"`temperature` must be a positive number, but got '2'"):
        TemperatureSampler(temperature="2")


@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), float("nan")])
def test_a_temperature_is_positive_and_finite(temperature):
    with pytest.raises(ValueError, match=f"`temperature` must be .*, but got {temperature}"):
        TemperatureSampler(temperature=temperature)


@pytest.mark.parametrize("sampler_class", [ProportionalSampler, TemperatureSampler])
def test_a_cap_is_a_whole_number(sampler_class):
    with pytest.raises(TypeError, match=r"`cap` must be a positive whole number, but got 2\.5"):
        sampler_class(cap=2.5)
    with pytest.raises(ValueError, match=r"`cap` must be a positive whole number, but got 0"):
        sampler_class(cap=0)


@pytest.mark.parametrize(("num_rows", "batch_size"), [(0, 1), (1, 0), (-3, 2)])
def test_sizes_are_positive(num_rows, batch_size):
    with pytest.raises(ValueError, match=r"must be a positive whole number"):
        SourceSize(num_rows, batch_size)
