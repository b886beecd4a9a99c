# SPDX-License-Identifier: Apache-2.0
"""Samplers that follow the run against answers that can be worked out by hand."""

import math

import pytest

from hf_mtl.data import (
    SAMPLERS,
    DSTSampler,
    LearningProgressSampler,
    LossDrivenSampler,
    OnlineMixingSampler,
    Segment,
    SettledRates,
    SourceSize,
    StepPlan,
    StopAndGoSampler,
)

ALIKE = [SourceSize(10, 2), SourceSize(10, 2)]


def after_segments(sampler, *losses, counts=None, chances=None, num_steps=10):
    num_sources = len(losses[0])
    state = sampler.init_state(num_sources)
    for each in losses:
        counted = counts or [5] * num_sources
        odds = chances or [1 / num_sources] * num_sources
        state = sampler.state_after_segment(state, Segment(each, counted, odds, num_steps))
    return state


def after_evaluations(sampler, *losses, scores=None):
    state = sampler.init_state(len(losses[0]))
    for i, each in enumerate(losses):
        told = [None] * len(each) if scores is None else scores[i]
        state = sampler.state_after_evaluation(state, each, told)
    return state


def test_rewards_are_divided_by_the_chance_to_earn_them():
    state = after_segments(
        OnlineMixingSampler(), [2.0, 3.0], counts=[80, 20], chances=[0.8, 0.2], num_steps=100
    )
    assert state == {"rewards": [80 * 0.2 / 0.8, 20 * 0.3 / 0.2], "num_steps": 100}


def test_online_mixing_is_exp3():
    state = {"rewards": [20.0, 30.0], "num_steps": 100}
    before, now = math.sqrt(math.log(2) / 200), math.sqrt(math.log(2) / 202)
    odds = math.exp(10 * before)
    rates = OnlineMixingSampler().adapted_rates(ALIKE, state)
    assert rates[1] == pytest.approx((1 - 2 * now) * odds / (1 + odds) + now)


def test_online_mixing_begins_at_the_rates_of_its_base():
    sizes = [SourceSize(30, 2), SourceSize(10, 2)]
    sampler = OnlineMixingSampler()
    assert sampler.adapted_rates(sizes, sampler.init_state(2)) == [0.75, 0.25]


def test_a_source_that_no_step_had_earns_nothing():
    state = after_segments(OnlineMixingSampler(), [2.0, None], counts=[5, 0])
    assert state["rewards"] == [5 * 0.2 / 0.5, 0.0]


def test_the_loss_that_falls_fastest_gets_what_is_not_explored():
    sampler = LearningProgressSampler(window=3)
    state = after_segments(sampler, [5.0, 1.0, 9.0], [4.0, 1.0, 9.0], [3.0, 0.5, 9.5])
    rates = sampler.adapted_rates([SourceSize(10, 2)] * 3, state)
    assert rates == pytest.approx([0.9, 0.05, 0.05])


def test_the_slope_is_that_of_a_line_through_the_window():
    sampler = LearningProgressSampler(window=3)
    # Slopes of -0.5, by the ends, and -0.75; the first losses have left the window.
    state = after_segments(sampler, [0.0, 9.0], [2.0, 2.5], [0.0, 1.75], [1.0, 1.0])
    assert sampler.adapted_rates(ALIKE, state) == pytest.approx([0.1, 0.9])


def test_sources_that_do_not_progress_share():
    sampler = LearningProgressSampler(window=2)
    state = after_segments(sampler, [1.0, 2.0], [1.5, 2.0])
    assert sampler.adapted_rates(ALIKE, state) == [0.5, 0.5]


def test_progress_is_weighed_against_what_it_costs():
    sizes = [SourceSize(10, 2, name="cheap"), SourceSize(10, 2, name="dear")]
    losses = [1.0, 1.0], [0.7, 0.6]  # progress of 0.3 and 0.4, together 0.5 long
    plain = LearningProgressSampler(window=2)
    assert plain.adapted_rates(sizes, after_segments(plain, *losses)) == [0.1, 0.9]
    # exp(0.6) / 1 = 1.82 and exp(0.8) / 2 = 1.11
    frugal = LearningProgressSampler(window=2, costs={"cheap": 1, "dear": 2})
    assert frugal.adapted_rates(sizes, after_segments(frugal, *losses)) == [0.9, 0.1]
    # exp(6) / 1 = 403 and exp(8) / 2 = 1490
    eager = LearningProgressSampler(window=2, costs={"cheap": 1, "dear": 2}, kappa=10)
    assert eager.adapted_rates(sizes, after_segments(eager, *losses)) == [0.1, 0.9]


def test_costs_are_those_of_the_sources_of_the_run():
    sampler = LearningProgressSampler(costs={"news": 1})
    with pytest.raises(ValueError, match=r"`costs` must cover every source, but \['reviews'\]"):
        sampler.check_sources(["news", "reviews"])
    with pytest.raises(TypeError, match="`costs` must be a mapping from sources to numbers, but"):
        LearningProgressSampler(costs=[1, 2])


def test_progress_is_not_known_before_every_window_is_full():
    sampler = LearningProgressSampler(window=2, base={"name": "proportional"})
    sizes = [SourceSize(30, 2), SourceSize(10, 2)]
    state = after_segments(sampler, [3.0, 1.0], [2.0, None])
    assert sampler.adapted_rates(sizes, state) == [0.75, 0.25]


def test_loss_driven_takes_the_root_of_the_loss_in_terms_of_the_first():
    sampler = LossDrivenSampler(floor=0.2)
    state = after_segments(sampler, [1.0, 4.0], [9.0, 9.0], [1.0, 1.0])
    # Powers of 1 and 1 / 2; a fifth stays at a half each.
    expected = [0.2 / 2 + 0.8 * 2 / 3, 0.2 / 2 + 0.8 / 3]
    assert sampler.adapted_rates(ALIKE, state) == pytest.approx(expected)


def test_a_source_stops_after_evaluations_that_are_no_better():
    sampler = StopAndGoSampler(gap=4.0, patience=2)
    none = [None, None]
    scores = [[0.5, -1.0], [0.5, -0.9], [0.5, -0.8]]
    state = after_evaluations(sampler, none, none, none, scores=scores)
    assert sampler.adapted_rates(ALIKE, state) == [0.2, 0.8]


@pytest.mark.parametrize(
    ("scores", "is_stopped"),
    [
        ([0.5, 0.5004, 0.5], True),  # better by less than a thousandth
        ([0.5, 0.5, 0.5006], False),
        ([0.5, 0.5, 0.5, 0.498], True),  # worse by less than five thousandths
        ([0.5, 0.5, 0.5, 0.497], False),
        ([-0.5, -0.5, -0.5, -0.503], False),  # lower is better, and it is higher
        ([0.5, None, 0.5, None], False),  # evaluations without it do not count
        ([0.5, 0.5, 0.5, 0.4, 0.4, 0.4], False),  # the first of them cools down
        ([0.5, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4], True),
    ],
)
def test_stop_and_go_goes_by_the_best_score(scores, is_stopped):
    sampler = StopAndGoSampler(patience=2, cooldown=1)
    state = after_evaluations(sampler, *[[None]] * len(scores), scores=[[each] for each in scores])
    assert state["controls"][0]["is_stopped"] == is_stopped


def test_dst_adds_up_size_progress_and_stagnancy():
    sampler = DSTSampler(count=0.1, progress=0.2, stagnancy=0.3)
    sizes = [SourceSize(100, 2), SourceSize(50, 2)]
    state = after_evaluations(sampler, [4.0, 2.0], [4.0, 2.0], [3.0, 1.0])
    # Losses at 3 / 4 and 1 / 2 of the first, 5 / 8 on average; moves of 1 / 4 and 1 / 2, 3 / 8.
    first = 0.4 + 0.1 * 1 + 0.2 * 1 + 0.3 * 1
    second = 0.4 + 0.1 * 0.5 + 0.2 * 0.5 / 0.625 + 0.3 * 0.375 / 0.5
    expected = [first / (first + second), second / (first + second)]
    assert sampler.adapted_rates(sizes, state) == pytest.approx(expected)


def test_dst_keeps_what_it_has_not_evaluated():
    state = after_evaluations(DSTSampler(count=0.0), [1.0, None], [0.5, None])
    assert DSTSampler(count=0.0).adapted_rates(ALIKE, state) == [0.5, 0.5]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "online_mixing", "update_every": 0}, "`update_every` must be a positive whole"),
        ({"name": "online_mixing", "base": "annealed"}, "`base` must be a sampler whose rates s"),
        ({"name": "online_mixing", "base": "dst"}, "`base` must be a sampler whose rates stay"),
        ({"name": "learning_progress", "window": 1}, "`window` must be 2 or more, but got 1"),
        ({"name": "learning_progress", "kappa": 0}, "`kappa` must be a positive number, but got 0"),
        (
            {"name": "learning_progress", "costs": {"news": 0}},
            "`costs.news` must be a positive",
        ),
        ({"name": "learning_progress", "exploration": 0}, r"`exploration` must be in \(0, 1\)"),
        ({"name": "loss_driven", "floor": 0.0}, r"`floor` must be in \(0, 1\), but got 0.0"),
        ({"name": "loss_driven", "alpha": -1}, "`alpha` must be a positive number, but got -1"),
        ({"name": "stop_and_go", "gap": 1}, "`gap` must be above 1, but got 1"),
        ({"name": "stop_and_go", "patience": 0}, "`patience` must be a positive whole number"),
        ({"name": "stop_and_go", "cooldown": -1}, "`cooldown` must be a positive whole number"),
        ({"name": "stop_and_go", "threshold": -1}, "`threshold` must be 0 or more"),
        ({"name": "dst", "stagnancy": -0.1}, "`stagnancy` must be 0 or more, but got -0.1"),
        ({"name": "dst", "count": 0.6}, "`stagnancy` must be less than 1 together, but got"),
        (
            {"name": "nested", "groups": {"one": ["a"]}, "sampler": "dst"},
            "`sampler` must be a sampler that does not follow the run, .* but got 'dst'",
        ),
        (
            {"name": "nested", "groups": {"one": {"sources": ["a"], "sampler": "online_mixing"}}},
            "`groups.one.sampler` must be a sampler that does not follow the run",
        ),
        (
            {"name": "stages", "stages": [{"sources": ["a"], "sampler": "dst"}]},
            r"`stages\[0\].sampler` must be a sampler that does not follow the run",
        ),
    ],
)
def test_a_field_that_cannot_be_is_refused(entry, words):
    with pytest.raises(ValueError, match=words):
        SAMPLERS.build(entry)


def test_a_base_that_knows_sources_by_name_is_checked():
    sampler = OnlineMixingSampler(base={"name": "fixed", "probabilities": {"a": 1}})
    with pytest.raises(ValueError, match=r"missing. Got \['a'\]"):
        sampler.check_sources(["a", "b"])


@pytest.mark.parametrize(
    ("entry", "needs_sizes"),
    [
        ({"name": "online_mixing"}, True),
        ({"name": "online_mixing", "base": "uniform"}, False),
        ({"name": "dst"}, True),
        ({"name": "dst", "count": 0}, False),
    ],
)
def test_sizes_are_needed_where_the_base_or_the_rates_go_by_them(entry, needs_sizes):
    assert SAMPLERS.build(entry).needs_sizes == needs_sizes


def plan_of(rates_by_segment, **given):
    settled = SettledRates()
    for segment, rates in rates_by_segment.items():
        settled.settle(segment, rates)
    sizes = {"a": SourceSize(120, 2), "b": SourceSize(120, 2)}
    sampler = OnlineMixingSampler(update_every=40)
    return StepPlan(sizes, sampler=sampler, settled=settled, **given), settled


ONLY_A, ONLY_B = [1.0, 0.0], [0.0, 1.0]


def drawn(plan):
    return "".join(draw.source for batch in plan for draw in batch)


def test_each_segment_is_drawn_at_its_rates():
    plan, _ = plan_of({0: ONLY_A, 1: ONLY_B, 2: ONLY_A})
    assert plan.num_steps == 120
    assert drawn(plan) == "a" * 40 + "b" * 40 + "a" * 40


def test_segments_are_counted_through_epochs():
    plan, _ = plan_of(dict.fromkeys(range(6), ONLY_A) | {3: ONLY_B})
    plan.set_epoch(1)
    assert drawn(plan) == "b" * 40 + "a" * 80


def test_a_segment_may_lie_across_the_end_of_an_epoch():
    plan, _ = plan_of({0: ONLY_A, 1: ONLY_B}, tasks_per_step=3)
    assert plan.num_steps == 40
    plan, _ = plan_of({0: ONLY_A, 1: ONLY_B, 2: ONLY_A}, tasks_per_step=2)
    assert plan.num_steps == 60
    assert drawn(plan) == "aa" * 40 + "bb" * 20
    plan.set_epoch(1)
    assert drawn(plan) == "bb" * 20 + "aa" * 40


def test_what_comes_later_need_not_be_settled_yet():
    plan, settled = plan_of({0: ONLY_A, 1: ONLY_B})
    batches = iter(plan)
    first = [next(batches) for _ in range(80)]
    settled.settle(2, ONLY_A)
    assert [*first, *batches] == list(plan)


def test_an_iteration_from_the_middle_gives_the_rest():
    mixed = {0: [0.5, 0.5], 1: [0.9, 0.1], 2: [0.2, 0.8]}
    whole, _ = plan_of(mixed)
    expected = list(whole)
    for first_step in (1, 39, 40, 41, 119):
        later, _ = plan_of(mixed)
        later.set_epoch(0, first_step=first_step)
        assert list(later)[first_step:] == expected[first_step:]


def test_settled_rates_survive_a_checkpoint():
    _, settled = plan_of({0: ONLY_A, 1: ONLY_B, 2: ONLY_A})
    settled.forget_before(1)
    read = SettledRates()
    read.load_state_dict(settled.state_dict())
    assert [read.of(segment) for segment in range(3)] == [ONLY_B, ONLY_B, ONLY_A]
