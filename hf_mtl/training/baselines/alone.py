# SPDX-License-Identifier: Apache-2.0
"""From the recipe of all tasks to that of one task alone, with the same settings."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hf_mtl.evaluation import first_metrics, metrics_of
from hf_mtl.tasks import TaskSpec, TaskSuite
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.recipe import Recipe
from hf_mtl.training.recipe.arguments import section_of

__all__ = ["recipe_alone", "recipe_unseen", "what_differs"]

# What keeps a run unseen, whatever the recipe is. A run that is told to leave must not end early
# and look as if it were done, so there is no just-in-time checkpoint.
_UNSEEN: Mapping[str, Any] = {
    "enable_jit_checkpoint": False,
    "logging_first_step": False,
    "logging_strategy": "no",
    "push_to_hub": False,
    "report_to": "none",
    "save_total_limit": 1,
}
# Numbers over several tasks, and how long all of them are trained.
_OF_SEVERAL = frozenset({"baseline_scores", "num_train_epochs"})


def recipe_unseen(recipe: Recipe) -> Recipe:
    """The recipe, made to log nothing, and to save only what its best checkpoint is chosen from.

    Args:
        recipe: A recipe without faults.
    """
    args = recipe.training_arguments()
    changes = dict(_UNSEEN)
    if not args.load_best_model_at_end:
        changes["save_strategy"] = "no"
    if args.eval_strategy == "steps":
        changes["eval_steps"] = args.eval_steps  # which may come from `logging_steps`
    return replace(recipe, arguments={**recipe.arguments, **changes})


def recipe_alone(recipe: Recipe, task: str, *, steps: int, steps_together: int) -> Recipe:
    """The recipe of one task: same backbone, rows and settings, one draw in each of its steps.

    Args:
        recipe: The recipe of all tasks, without faults.
        task: The task.
        steps: Its steps.
        steps_together: Steps of all tasks; intervals in steps are the same part of both.
    """
    assert recipe.suite is not None  # a recipe without tasks has faults
    suite = TaskSuite({task: _spec_alone(recipe.suite[task])})
    args = recipe.training_arguments()
    kept = {
        name: value
        for name, value in recipe.arguments.items()
        if section_of(name) == "training" and name not in _OF_SEVERAL
    }
    kept |= _scaled(args, steps / steps_together)
    if not _judges_alone(args.metric_for_best_model, suite):
        (metric,) = first_metrics(suite).values()
        kept["metric_for_best_model"] = f"eval_{metric.key}"
        kept.pop("greater_is_better", None)
    kept |= {"tasks_per_step": "all", "max_steps": steps}
    return replace(recipe, suite=suite, arguments=kept)


def what_differs(recipe: Recipe, *, has_other_steps: bool) -> tuple[str, ...]:
    """What the recipe says that does not hold for a task alone, each in a few words.

    Args:
        recipe: The recipe of all tasks, without faults.
        has_other_steps: Whether some task has fewer or more steps alone than all together.
    """
    assert recipe.suite is not None
    args = recipe.training_arguments()
    found = [
        f"no `{name}`"
        for name, value in recipe.arguments.items()
        if section_of(name) != "training" and name != "tasks_per_step" and value is not None
    ]
    found += [f"no `schedule` of {task}" for task, spec in recipe.suite.items() if spec.schedule]
    found += [f"no `detached` of {task}" for task, spec in recipe.suite.items() if spec.detached]
    if len(set(recipe.suite.weights.values())) > 1:
        found.append("no `weight`")
    if has_other_steps:
        found += [f"`{name}` as the same part of its steps" for name in _scaled(args, 1.0)]
    given = args.metric_for_best_model
    if not all(_judges_alone(given, recipe.suite.subset([task])) for task in recipe.suite):
        found.append(f"its own first metric in place of {given!r} as `metric_for_best_model`")
    return tuple(found)


def _spec_alone(spec: TaskSpec) -> TaskSpec:
    return spec.replace(weight=1.0, schedule=None, detached=False)


def _judges_alone(metric: str | None, suite: TaskSuite) -> bool:
    """Whether a metric to choose a checkpoint by says something of a task alone."""
    if metric is None:
        return True
    key = metric.removeprefix("eval_")
    (task,) = suite
    own = {f"{task}_{name}" for name in ("loss", *metrics_of(suite, task))}
    return key in {"loss", "mean", *own}


def _scaled(args: MultiTaskTrainingArguments, share: float) -> dict[str, Any]:
    """Warm-up and intervals that are given in steps, as the same part of another run."""

    def steps(given: float) -> int:
        return max(1, round(given * share))

    # Below 1 they are parts of the run already.
    changes: dict[str, Any] = {}
    if args.warmup_steps >= 1:
        changes["warmup_steps"] = steps(args.warmup_steps)
    if args.eval_strategy == "steps" and args.eval_steps and args.eval_steps >= 1:
        changes["eval_steps"] = steps(args.eval_steps)
        if args.load_best_model_at_end and args.save_strategy == "steps":
            # The best checkpoint is one that was evaluated: an interval is a multiple of the other.
            changes["save_steps"] = changes["eval_steps"] * int(args.save_steps // args.eval_steps)
    return changes
