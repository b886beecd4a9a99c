# SPDX-License-Identifier: Apache-2.0
"""The step plan against steps that can be written down by hand."""

from itertools import islice

import pytest

from hf_mtl.data import (
    Draw,
    ProportionalSampler,
    RoundRobinSampler,
    SourceSize,
    StepPlan,
    UniformSampler,
)

SIZES = {"a": SourceSize(7, 4), "b": SourceSize(3, 2), "c": SourceSize(16, 4)}


def shapes(plan):
    """Source and number of rows of each draw of each micro-batch."""
    return [[(draw.source, len(draw.rows)) for draw in batch] for batch in plan]


def steps(plan):
    """Rows of each optimizer step of one rank, by source and sorted."""
    batches = iter(plan)
    grouped = []
    while step := list(islice(batches, plan.accumulation)):
        draws = [draw for batch in step for draw in batch if not draw.is_filler]
        rows = [(draw.source, row) for draw in draws for row in draw.rows]
        grouped.append(sorted(rows))
    return grouped


def test_all_takes_one_draw_of_each_source_and_restarts_small_ones():
    plan = StepPlan(SIZES, tasks_per_step="all")
    assert shapes(plan) == [
        [("a", 4), ("b", 2), ("c", 4)],
        [("a", 3), ("b", 1), ("c", 4)],
        [("a", 4), ("b", 2), ("c", 4)],
        [("a", 3), ("b", 1), ("c", 4)],
    ]


def test_all_stops_with_the_smallest_source_where_asked_to():
    plan = StepPlan(SIZES, tasks_per_step="all", stopping="first_exhausted")
    assert plan.num_steps == len(list(plan)) == 2


def test_all_leaves_out_exhausted_sources_where_asked_to():
    rule = "all_exhausted_without_replacement"
    plan = StepPlan(SIZES, tasks_per_step="all", stopping=rule)
    assert shapes(plan)[2:] == [[("c", 4)], [("c", 4)]]
    assert sorted(row for step in steps(plan) for row in step) == sorted(
        (source, row) for source, size in SIZES.items() for row in range(size.num_rows)
    )


def test_k_draws_make_a_step_and_the_last_step_may_have_fewer():
    plan = StepPlan(SIZES, sampler=RoundRobinSampler("all_exhausted"), tasks_per_step=5)
    assert [len(batch) for batch in plan] == [5, 5, 2]
    assert plan.num_steps == 3


def test_a_step_may_draw_one_source_twice():
    plan = StepPlan({"a": SourceSize(4, 2)}, sampler=ProportionalSampler(), tasks_per_step=2)
    (batch,) = plan
    assert {row for draw in batch for row in draw.rows} == {0, 1, 2, 3}


def test_proportional_takes_every_row_of_an_epoch_once():
    plan = StepPlan(SIZES, sampler=ProportionalSampler())
    rows = [row for step in steps(plan) for row in step]
    assert sorted(rows) == sorted(
        (source, row) for source, size in SIZES.items() for row in range(size.num_rows)
    )


def test_each_pass_within_an_epoch_has_its_own_order():
    plan = StepPlan(
        {"a": SourceSize(50, 50), "b": SourceSize(100, 50)}, sampler=RoundRobinSampler()
    )
    first, second = (draw.rows for batch in plan for draw in batch if draw.source == "a")
    assert first != second
    assert sorted(first) == sorted(second) == list(range(50))


def test_order_is_a_pure_function_of_seed_and_epoch():
    plan = StepPlan(SIZES, sampler=UniformSampler(), seed=1)
    first = list(plan)
    plan.set_epoch(1)
    second = list(plan)
    plan.set_epoch(0)
    assert list(plan) == first != second
    assert list(StepPlan(SIZES, sampler=UniformSampler(), seed=2)) != first


def test_an_abandoned_iteration_leaves_no_trace():
    plan = StepPlan(SIZES, sampler=UniformSampler())
    first = list(plan)
    list(islice(plan, 3))
    assert list(plan) == first


def test_the_order_of_one_source_does_not_depend_on_the_others():
    alone = StepPlan({"c": SIZES["c"]}, tasks_per_step="all")
    together = StepPlan(SIZES, tasks_per_step="all")
    assert [draw for batch in alone for draw in batch] == [
        draw for batch in together for draw in batch if draw.source == "c"
    ]


@pytest.mark.parametrize(("world_size", "accumulation"), [(1, 4), (2, 1), (2, 2), (3, 1), (4, 3)])
@pytest.mark.parametrize("tasks_per_step", [2, "all"])
def test_a_step_has_the_same_rows_however_ranks_and_micro_batches_share_it(
    world_size, accumulation, tasks_per_step
):
    sampler = None if tasks_per_step == "all" else UniformSampler()
    whole = steps(StepPlan(SIZES, sampler=sampler, tasks_per_step=tasks_per_step))
    ranks = [
        StepPlan(
            SIZES,
            sampler=sampler,
            tasks_per_step=tasks_per_step,
            accumulation=accumulation,
            world_size=world_size,
            rank=rank,
        )
        for rank in range(world_size)
    ]
    assert all(len(list(plan)) == len(plan) == len(whole) * accumulation for plan in ranks)
    parts = zip(*map(steps, ranks), strict=True)
    assert [sorted(row for part in step for row in part) for step in parts] == whole


def test_a_draw_is_dealt_out_as_evenly_as_can_be():
    plans = [
        StepPlan(
            {"a": SourceSize(7, 8)},
            tasks_per_step="all",
            accumulation=2,
            world_size=2,
            rank=rank,
        )
        for rank in range(2)
    ]
    assert [shapes(plan) for plan in plans] == [
        [[("a", 2)], [("a", 2)]],
        [[("a", 2)], [("a", 1)]],
    ]


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_micro_batch_has_the_same_rows_on_any_number_of_ranks_where_asked_to(is_stream):
    def micro_batches(world_size):
        ranks = [
            StepPlan(
                {"a": SourceSize(10, 8, is_stream=is_stream)},
                tasks_per_step="all",
                accumulation=3,
                world_size=world_size,
                rank=rank,
                keeps_micro_batches=True,
            )
            for rank in range(world_size)
        ]
        return [
            sorted(row for batch in parts for d in batch if not d.is_filler for row in d.rows)
            for parts in zip(*ranks, strict=True)
        ]

    whole = micro_batches(1)
    assert list(map(len, whole)) == [3, 3, 2, *((3, 3, 2) if is_stream else (1, 1, 0))]
    assert micro_batches(2) == micro_batches(4) == whole


def test_a_slot_without_rows_has_no_draw():
    plan = StepPlan({"a": SourceSize(1, 4)}, tasks_per_step="all", accumulation=3)
    assert shapes(plan) == [[("a", 1)], [], []]


@pytest.mark.parametrize("world_size", [2, 3])
def test_every_rank_has_the_same_draws_if_need_be_with_a_row_that_fills_the_place(world_size):
    ranks = [
        StepPlan(SIZES, tasks_per_step="all", accumulation=2, world_size=world_size, rank=rank)
        for rank in range(world_size)
    ]
    for batches in zip(*ranks, strict=True):
        assert len({tuple(draw.source for draw in batch) for batch in batches}) == 1
        fillers = [draw for batch in batches for draw in batch if draw.is_filler]
        assert all(len(draw.rows) == 1 for draw in fillers)
    first = next(
        iter(StepPlan({"a": SourceSize(1, 4)}, tasks_per_step="all", world_size=2, rank=1))
    )
    assert first == [Draw("a", (0,), is_filler=True)]


@pytest.mark.parametrize("tasks_per_step", [2, "all"])
@pytest.mark.parametrize("stopping", ["all_exhausted", "all_exhausted_without_replacement"])
def test_steps_that_are_passed_over_are_empty_and_change_nothing_after_them(
    tasks_per_step, stopping
):
    is_all = tasks_per_step == "all"
    plan = StepPlan(
        SIZES,
        sampler=None if is_all else RoundRobinSampler(stopping),
        tasks_per_step=tasks_per_step,
        stopping=stopping if is_all else "all_exhausted",
        accumulation=2,
    )
    plan.set_epoch(3)
    whole = list(plan)
    for step in range(plan.num_steps + 1):
        plan.set_epoch(3, first_step=step)
        assert list(plan) == [[]] * (2 * step) + whole[2 * step :]


def test_rows_of_a_stream_are_positions_that_go_round_the_ranks():
    sizes = {"s": SourceSize(8, 5, is_stream=True)}
    plans = [
        StepPlan(sizes, tasks_per_step="all", accumulation=2, world_size=2, rank=rank)
        for rank in range(2)
    ]
    rows = [[[draw.rows for draw in batch] for batch in plan] for plan in plans]
    assert rows[0] == [[(0, 2)], [(4,)], [(6,)], [(8,)]]
    assert rows[1] == [[(1,)], [(3,)], [(5, 7)], [(9,)]]


def test_nothing_is_shuffled_before_its_first_draw():
    # Permutations of all of these would take terabytes.
    sizes = {f"source{i}": SourceSize(10**9, 10**9) for i in range(1000)}
    sizes["small"] = SourceSize(3, 1)
    plan = StepPlan(dict(reversed(sizes.items())), sampler=RoundRobinSampler())
    assert len(next(iter(plan))) == 1


def test_a_sampler_beside_all_is_refused():
    with pytest.raises(ValueError, match=r"`sampler` must be left out with `tasks_per_step` 'all'"):
        StepPlan(SIZES, sampler=ProportionalSampler(), tasks_per_step="all")


def test_a_number_of_draws_needs_a_sampler():
    with pytest.raises(TypeError, match=r"`sampler` must be a sampler .* but got None"):
        StepPlan(SIZES)


def test_a_name_is_no_sampler():
    with pytest.raises(TypeError, match=r"but got 'uniform'. Build one"):
        StepPlan(SIZES, sampler="uniform")


def test_a_stopping_rule_without_all_is_refused():
    with pytest.raises(ValueError, match=r"`stopping` must be left out .* Give it to the sampler"):
        StepPlan(SIZES, sampler=UniformSampler(), stopping="first_exhausted")


def test_an_unknown_stopping_rule_offers_the_nearest_name():
    with pytest.raises(KeyError, match=r"Did you mean 'first_exhausted'\?"):
        StepPlan(SIZES, tasks_per_step="all", stopping="first_exausted")


@pytest.mark.parametrize("tasks_per_step", ["2", "al", "every"])
def test_a_string_is_no_number_of_tasks(tasks_per_step):
    with pytest.raises(ValueError, match=f"or 'all', but got '{tasks_per_step}'"):
        StepPlan(SIZES, sampler=UniformSampler(), tasks_per_step=tasks_per_step)


@pytest.mark.parametrize("tasks_per_step", [0, -1])
def test_a_step_has_at_least_one_draw(tasks_per_step):
    with pytest.raises(ValueError, match=r"`tasks_per_step` must be a positive whole number"):
        StepPlan(SIZES, sampler=UniformSampler(), tasks_per_step=tasks_per_step)


def test_a_rank_is_one_of_the_world():
    with pytest.raises(ValueError, match=r"`rank` must be in 0 \.\. 1, but got 2"):
        StepPlan(SIZES, tasks_per_step="all", world_size=2, rank=2)


def test_a_plan_has_a_source():
    with pytest.raises(ValueError, match=r"`sizes` must hold at least one source, but got none"):
        StepPlan({}, tasks_per_step="all")


def test_rows_of_a_step_are_counted_on_average():
    sizes = {"a": SourceSize(num_rows=3, batch_size=2), "b": SourceSize(num_rows=4, batch_size=4)}
    together = StepPlan(sizes, tasks_per_step="all", stopping="all_exhausted")
    assert together.rows_per_step == (2 + 1 + 4 + 4) / 2
    apart = StepPlan(sizes, sampler=ProportionalSampler(), tasks_per_step=1)
    assert apart.rows_per_step == pytest.approx((3 + 4) / 3)
