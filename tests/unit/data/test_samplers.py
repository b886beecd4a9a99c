# SPDX-License-Identifier: Apache-2.0
"""Samplers against answers that can be worked out by hand."""

from collections import Counter

import pytest
import torch
from datasets import Dataset, interleave_datasets

from hf_mtl.data import (
    SAMPLERS,
    STOPPING_RULES,
    AlphaSampler,
    AnnealedSampler,
    FixedSampler,
    NestedSampler,
    ProportionalSampler,
    RoundRobinSampler,
    ScheduledSampler,
    SourceSize,
    SqrtSampler,
    StagesSampler,
    StepPlan,
    TemperatureSampler,
    UniformSampler,
    UniMaxSampler,
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


def named(**rows):
    return [SourceSize(count, 10, name=name) for name, count in rows.items()]


def test_alpha_is_the_power_of_the_sizes():
    assert AlphaSampler(alpha=0.5).rates(named(a=400, b=100)) == [20 / 30, 10 / 30]
    assert AlphaSampler(alpha=0).rates(named(a=400, b=100)) == [0.5, 0.5]
    assert AlphaSampler(alpha=1).rates(named(a=400, b=100)) == [0.8, 0.2]


def test_sqrt_takes_the_square_root_of_the_sizes():
    assert SqrtSampler().rates(named(a=900, b=100)) == [30 / 40, 10 / 40]


def test_annealing_goes_from_the_sizes_to_a_fifth_of_their_power():
    sizes = named(a=3200, b=100)
    rates = [AnnealedSampler().rates(sizes, progress) for progress in (0.0, 0.5, 1.0)]
    # 32 to the powers 1, 0.6 and 0.2 is 32, 8 and 2.
    assert rates == [
        pytest.approx([32 / 33, 1 / 33]),
        pytest.approx([8 / 9, 1 / 9]),
        pytest.approx([2 / 3, 1 / 3]),
    ]


def test_unimax_shares_out_what_small_sources_cannot_give():
    sizes = named(large=900, small=30, middle=70)
    # 1000 rows: a third is 333, but the small one has 60 in two passes. Of 940, half is 470, but
    # the middle one has 140. The large one gets the rest.
    assert UniMaxSampler(max_passes=2).rates(sizes) == [0.8, 0.06, 0.14]


def test_unimax_is_uniform_where_no_bound_is_met():
    assert UniMaxSampler(rows_per_epoch=40).rates(named(a=900, b=20)) == [0.5, 0.5]


def test_unimax_with_one_pass_is_proportional():
    assert UniMaxSampler(max_passes=1).rates(named(a=300, b=100)) == [0.75, 0.25]


def test_unimax_ends_an_epoch_when_every_source_has_given_its_passes():
    sampler = UniMaxSampler(max_passes=1, rows_per_epoch=10_000)
    assert sampler.num_draws(named(a=300, b=100)) == 400 / 10


def test_fixed_probabilities_are_relative():
    sampler = FixedSampler({"b": 3, "a": 1})
    assert sampler.rates(named(a=5, b=900)) == [0.25, 0.75]


def points(*pairs):
    return [{"at": at, "probabilities": probabilities} for at, probabilities in pairs]


def test_a_schedule_goes_straight_from_point_to_point():
    sampler = ScheduledSampler(points((0.2, {"a": 1, "b": 0}), (0.6, {"a": 2, "b": 2})))
    times = (0.0, 0.2, 0.3, 0.6, 1.0)
    assert [sampler.rates(named(a=1, b=1), time)[1] for time in times] == [
        0.0,
        0.0,
        pytest.approx(0.125),
        0.5,
        0.5,
    ]


def test_stages_are_as_long_as_their_sources_are_large():
    sampler = StagesSampler([["a"], ["b"]])
    sizes = named(a=300, b=100)
    times = (0.0, 0.74, 0.76, 1.0)
    assert [sampler.rates(sizes, time) for time in times] == [[1, 0], [1, 0], [0, 1], [0, 1]]


def test_a_share_says_how_long_a_stage_is():
    stages = [{"sources": ["a"], "share": 1}, {"sources": ["b", "a"], "share": 3}]
    sampler = StagesSampler(stages)
    assert sampler.rates(named(a=300, b=100), 0.24) == [1, 0]
    assert sampler.rates(named(a=300, b=100), 0.26) == [0.75, 0.25]


def test_a_stage_hands_its_own_progress_to_its_sampler():
    annealed = {"sources": ["a", "b"], "share": 1, "sampler": {"name": "annealed", "end_alpha": 0}}
    sampler = StagesSampler([{"sources": ["a"], "share": 1}, annealed])
    sizes = named(a=400, b=100)
    assert sampler.rates(sizes, 0.5) == [0.8, 0.2]
    assert sampler.rates(sizes, 0.75) == pytest.approx([2 / 3, 1 / 3])
    assert sampler.rates(sizes, 1.0) == [0.5, 0.5]


def test_stages_are_drawn_one_after_the_other():
    sizes = named(a=300, b=100)
    draws = drawn(StagesSampler([["a"], ["b"]]), sizes)
    assert draws == [0] * 30 + [1] * 10


def test_stages_go_on_over_epochs():
    sizes = {size.name: size for size in named(a=100, b=100)}
    plan = StepPlan(sizes, sampler=StagesSampler([["a"], ["b"]]), num_epochs=2)
    sources = []
    for epoch in (0, 1):
        plan.set_epoch(epoch)
        sources.append({draw.source for batch in plan for draw in batch})
    assert sources == [{"a"}, {"b"}]


def test_a_nested_mixture_caps_a_group():
    capped = {"sources": ["a", "b"], "sampler": {"name": "proportional", "cap": 100}}
    sampler = NestedSampler({"ab": capped, "c": ["c"]})
    # 100 + 50 of the group against 300.
    sizes = named(a=900, b=50, c=300)
    assert sampler.rates(sizes) == pytest.approx([100 / 450, 50 / 450, 300 / 450])
    assert sampler.num_draws(sizes) == 45


def test_groups_are_mixed_like_sources():
    groups = {"ab": {"sources": ["a", "b"], "sampler": "uniform"}, "c": ["c"]}
    sampler = NestedSampler(groups, {"name": "fixed", "probabilities": {"ab": 2, "c": 1}})
    assert sampler.rates(named(a=900, b=50, c=3)) == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_mixtures_nest_twice():
    inner = {"name": "nested", "groups": {"a": ["a"], "b": ["b"]}, "sampler": "uniform"}
    sampler = NestedSampler(
        {"ab": {"sources": ["a", "b"], "sampler": inner}, "c": ["c"]}, "uniform"
    )
    assert sampler.rates(named(a=900, b=50, c=3)) == pytest.approx([0.25, 0.25, 0.5])


def test_progress_is_that_of_the_steps_of_a_run():
    sizes = {size.name: size for size in named(a=1000, b=1000)}
    sampler = ScheduledSampler(points((0.5, {"a": 1, "b": 0}), (0.51, {"a": 0, "b": 1})))
    plan = StepPlan(sizes, sampler=sampler, max_steps=20)
    sources = [draw.source for batch in list(plan)[:20] for draw in batch]
    assert sources == ["a"] * 10 + ["b"] * 10
    assert plan.rates(0.0) == {"a": 1.0, "b": 0.0}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "fixed", "probabilities": {"a": 1, "b": 0}}, r"\['b'\] would never be trained"),
        ({"name": "fixed", "probabilities": {"a": -1}}, r"`probabilities.a` must be 0 or more"),
        (
            {"name": "scheduled", "points": points((0, {"a": 1, "b": 0}), (1, {"a": 2, "b": 0}))},
            r"\['b'\] would never be trained",
        ),
        (
            {"name": "scheduled", "points": points((0.5, {"a": 1}), (0.5, {"a": 2}))},
            r"`points` must be in order, but got `at` \[0.5, 0.5\]",
        ),
        ({"name": "scheduled", "points": points((2, {"a": 1}))}, r"`points\[0\].at` must be in \["),
        ({"name": "scheduled", "points": points((0, {"a": 0}))}, r"must hold a number above 0"),
        ({"name": "scheduled", "points": []}, r"`points` must hold at least one point"),
        ({"name": "stages", "stages": []}, r"`stages` must hold at least one stage"),
        ({"name": "stages", "stages": [["a", "a"]]}, r"`stages\[0\]` must hold at least one"),
        (
            {"name": "stages", "stages": [["a"], {"sources": ["b"], "share": 1}]},
            r"`stages` must give each stage a `share`, or none, but only 1 of 2",
        ),
        ({"name": "nested", "groups": {}}, r"`groups` must hold at least one group"),
        (
            {"name": "nested", "groups": {"one": ["a", "b"], "two": ["b"]}},
            r"`groups` must hold each source once, but \['b'\]",
        ),
        ({"name": "alpha", "alpha": 1.5}, r"`alpha` must be in \[0, 1\], but got 1.5"),
        ({"name": "unimax", "max_passes": 0}, r"`max_passes` must be a positive number"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(entry, words):
    with pytest.raises(ValueError, match=words):
        SAMPLERS.build(entry)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "fixed", "probabilities": ["a"]}, "`probabilities` must be a mapping"),
        (
            {"name": "scheduled", "points": [{"at": 0}]},
            r"`points\[0\]` must be a mapping with `at`",
        ),
        ({"name": "scheduled", "points": {"at": 0}}, "`points` must be a list of points"),
        ({"name": "stages", "stages": "a"}, "`stages` must be a list of stages"),
        ({"name": "stages", "stages": ["a"]}, r"`stages\[0\]` must be a list of sources"),
        ({"name": "nested", "groups": ["a"]}, "`groups` must be a mapping from names"),
        ({"name": "fixed"}, r"sampler 'fixed' must be given \['probabilities'\]"),
    ],
)
def test_a_wrong_kind_is_refused(entry, words):
    with pytest.raises(TypeError, match=words):
        SAMPLERS.build(entry)


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "fixed", "probabilities": {"a": 1}},
        {"name": "scheduled", "points": points((0, {"a": 1}))},
        {"name": "stages", "stages": [["a"]]},
        {"name": "nested", "groups": {"one": ["a"]}},
    ],
    ids=lambda entry: entry["name"],
)
def test_a_sampler_that_knows_sources_by_name_must_know_all(entry):
    sizes = {"a": SourceSize(1, 1), "b": SourceSize(1, 1)}
    with pytest.raises(ValueError, match=r"must cover every source, but \['b'\] are missing"):
        StepPlan(sizes, sampler=SAMPLERS.build(entry))


def test_a_misspelt_field_of_a_stage_offers_the_nearest_name():
    with pytest.raises(KeyError, match=r"field of `stages\[0\]` 'shares'. Did you mean 'share'"):
        StagesSampler([{"sources": ["a"], "shares": 1}])


def test_a_stage_that_would_hardly_be_drawn_is_refused():
    sampler = StagesSampler([["a"], ["b"]])
    with pytest.raises(ValueError, match=r"stage 1 would take 0\.50% of it"):
        sampler.num_draws(named(a=1990, b=10))
