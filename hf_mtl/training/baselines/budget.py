# SPDX-License-Identifier: Apache-2.0
"""How long a task is trained alone: for as many steps as it is drawn among the others."""

from statistics import fmean

from hf_mtl.data import StepPlan
from hf_mtl.data.samplers.base import NUM_PARTS, draw_odds, middle_of
from hf_mtl.data.samplers.rounds import draws_in_rounds
from hf_mtl.tasks import TaskSuite

__all__ = ["steps_alone"]


def steps_alone(plan: StepPlan, suite: TaskSuite) -> dict[str, int]:
    """Optimizer steps of each task alone, with one draw a step.

    As many as the run of all tasks has draws of the task's source, on average, while the task has
    a part in the training.

    Args:
        plan: Plan of the steps of all tasks.
        suite: The tasks; those of weight 0 are not trained.
    """
    times = [middle_of(part) for part in range(NUM_PARTS)]
    draws_by_time = [_draws_of_step(plan, progress) for progress in times]
    steps = {}
    for task, spec in suite.items():
        if not spec.weight:
            continue
        source = suite.source_of(task)
        draws = fmean(
            draws[source] if spec.task_schedule.factor(progress) else 0.0
            for progress, draws in zip(times, draws_by_time, strict=True)
        )
        steps[task] = max(1, round(draws * plan.training_steps))
    return steps


def _draws_of_step(plan: StepPlan, progress: float) -> dict[str, float]:
    """Draws of each source in a step, on average."""
    if plan.sampler is None:
        draws = draws_in_rounds(list(plan.sizes.values()), plan.stopping)
        return {
            source: count / plan.num_steps for source, count in zip(plan.sizes, draws, strict=True)
        }
    odds = draw_odds(list(plan.rates(progress).values()), list(plan.sizes.values()))
    draws_per_step = int(plan.tasks_per_step)
    return {
        source: draws_per_step * odd / sum(odds)
        for source, odd in zip(plan.sizes, odds, strict=True)
    }
