# SPDX-License-Identifier: Apache-2.0
"""Steps of a task alone, counted by hand."""

import pytest

from hf_mtl.data import SAMPLERS, SourceSize, StepPlan
from hf_mtl.tasks import TaskSpec, TaskSuite
from hf_mtl.training.baselines.budget import steps_alone

# Passes of 8 and of 2 draws.
SIZES = {"large": SourceSize(num_rows=32, batch_size=4), "small": SourceSize(8, 4)}


def suite(**schedules):
    specs = {
        task: TaskSpec("regression", schedule=schedules.get(task)) for task in ("large", "small")
    }
    return TaskSuite({**specs, "spare": TaskSpec("regression", source="small", weight=0.0)})


def steps(sampler=None, per_step=1, sizes=None, **given):
    schedules = given.pop("schedules", {})
    sampler = None if per_step == "all" else SAMPLERS.build(sampler)
    plan = StepPlan(sizes or SIZES, sampler=sampler, tasks_per_step=per_step, **given)
    return steps_alone(plan, suite(**schedules))


def test_a_task_that_every_step_draws_has_as_many_steps():
    assert steps(per_step="all", num_epochs=3) == {"large": 24, "small": 24}
    assert steps(per_step="all", max_steps=5) == {"large": 5, "small": 5}


def test_a_source_that_is_left_out_once_it_is_through_has_fewer():
    found = steps(per_step="all", stopping="all_exhausted_without_replacement", num_epochs=3)
    assert found == {"large": 24, "small": 6}


def test_a_sampled_task_has_its_share_of_the_draws():
    assert steps("proportional", num_epochs=3) == {"large": 24, "small": 6}
    assert steps("uniform", max_steps=100) == {"large": 50, "small": 50}
    # Two draws in each of a hundred steps.
    assert steps("proportional", per_step=2, max_steps=100) == {"large": 160, "small": 40}


def test_larger_batches_are_drawn_less_often_for_the_same_share_of_the_rows():
    sizes = {"large": SourceSize(num_rows=36, batch_size=12), "small": SourceSize(36, 4)}
    assert steps("uniform", max_steps=100, sizes=sizes) == {"large": 25, "small": 75}


def test_rates_that_change_count_as_long_as_they_last():
    stages = [{"sources": ["small"], "share": 0.3}, {"sources": ["large"], "share": 0.7}]
    found = steps({"name": "stages", "stages": stages}, max_steps=100)
    assert found == {"large": 70, "small": 30}


def test_steps_before_a_task_begins_or_after_it_stops_do_not_count():
    schedules = {"small": {"start": 0.25, "stop": 0.75}, "large": {"warmup": 0.5}}
    found = steps(per_step="all", max_steps=40, schedules=schedules)
    assert found == {"large": 40, "small": 20}


@pytest.mark.parametrize("max_steps", [1, 2])
def test_a_task_alone_has_one_step_at_least(max_steps):
    assert steps("proportional", max_steps=max_steps)["small"] == 1
