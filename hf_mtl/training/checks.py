# SPDX-License-Identifier: Apache-2.0
"""What is checked when a trainer is built, so that nothing fails or goes missing later."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from hf_mtl._checks import check_known, check_same_names
from hf_mtl.data import SAMPLERS
from hf_mtl.evaluation import (
    aggregate_names,
    check_baseline_scores,
    check_metrics,
    first_metrics,
    metrics_of,
)
from hf_mtl.tasks import TaskSuite, check_weights
from hf_mtl.training.adaptive_checks import check_adaptive_sampler
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.engines import ENGINES, Engine
from hf_mtl.training.gradient_balance import gradient_method_of
from hf_mtl.training.loss_weights import weighting_of

__all__ = [
    "check_by_source",
    "check_construction",
    "check_early_stopping",
    "check_gradient_method",
    "check_long_enough",
    "check_prepared",
    "check_sampler",
    "check_schedules",
    "check_weighting",
    "set_best_metric_direction",
]


def check_construction(
    args: MultiTaskTrainingArguments, suite: TaskSuite, compute_metrics: Mapping[str, Any]
) -> None:
    """Raises if arguments and tasks do not fit each other.

    Args:
        args: The arguments.
        suite: The tasks.
        compute_metrics: More metrics, by task.

    Raises:
        ValueError: If something is asked for that would not happen.
        KeyError: If a metric, or a task in ``compute_metrics``, is unknown.
    """
    check_metrics(suite)
    check_weights(suite)
    check_baseline_scores(args.baseline_scores, suite)
    for task in compute_metrics:
        check_known("task in `compute_metrics`", task, suite)
    check_weighting(args, suite)
    check_gradient_method(args, suite)
    check_batches(args, suite)


def check_batches(args: MultiTaskTrainingArguments, suite: TaskSuite) -> None:
    """Raises ``ValueError`` if sizes of batches are given that would not be taken.

    Args:
        args: The arguments.
        suite: The tasks.
    """
    own_batch_sizes = [task for task, spec in suite.items() if spec.batch_size is not None]
    own_tokens = [task for task, spec in suite.items() if spec.batch_tokens is not None]
    if args.batch_tokens is not None and len(own_batch_sizes) + len(own_tokens) == len(suite):
        raise ValueError(
            f"`batch_tokens` must be left out of the training arguments where every task has a "
            f"`batch_size` or `batch_tokens` of its own, but got {args.batch_tokens}."
        )
    if args.auto_find_batch_size and (own_tokens or args.batch_tokens is not None):
        raise ValueError(
            f"`auto_find_batch_size` must be False with `batch_tokens`, which says how large a "
            f"batch is, but got True with {own_tokens or args.batch_tokens}. Leave one of the two "
            f"out."
        )
    if args.auto_find_batch_size and own_batch_sizes:
        raise ValueError(
            f"`auto_find_batch_size` must be False where tasks have a `batch_size` of their own, "
            f"but {own_batch_sizes} have one. Leave one of the two out."
        )


def check_sampler(args: MultiTaskTrainingArguments, suite: TaskSuite) -> None:
    """Raises ``ValueError`` if a sampler is told of other sources than the suite has.

    Or if it is to follow the run, and cannot.

    Args:
        args: The arguments.
        suite: The tasks.
    """
    if args.sampler is not None:
        SAMPLERS.build(args.sampler).check_sources(list(suite.sources))
        check_adaptive_sampler(args)


def check_schedules(args: MultiTaskTrainingArguments, suite: TaskSuite) -> None:
    """Raises ``ValueError`` if rows would be drawn while nothing is to be learned from them.

    Args:
        args: The arguments.
        suite: The tasks.
    """
    if args.tasks_per_step == "all":
        return
    for begin, end in pairwise(suite.turns):
        weights = suite.weights_at((begin + end) / 2)
        for source, tasks in suite.sources.items():
            is_trained = any(suite.weights[task] for task in tasks)
            if is_trained and not any(weights[task] for task in tasks):
                raise ValueError(
                    f"`schedule` must leave a task on each source where sources are drawn, but "
                    f"between {begin:g} and {end:g} of the training there is none on {source!r}, "
                    f"whose rows would be drawn for nothing. Say when it is drawn with a sampler, "
                    f"'stages' or 'scheduled', or set `tasks_per_step` to 'all'."
                )


def check_early_stopping(
    args: MultiTaskTrainingArguments, suite: TaskSuite, evaluated: TaskSuite | None
) -> None:
    """Raises ``ValueError`` if tasks are to stop by evaluations that they are not part of.

    Args:
        args: The arguments.
        suite: The tasks.
        evaluated: Those that are evaluated; ``None``: none.
    """
    if args.task_patience is None:
        return
    judged = list(evaluated or ())
    missing = [task for task in suite if suite.weights[task] and task not in judged]
    if missing:
        raise ValueError(
            f"`eval_dataset` must have rows for every task that is trained with `task_patience`, "
            f"which goes by its evaluations, but has none for {missing}."
        )


def check_weighting(args: MultiTaskTrainingArguments, suite: TaskSuite) -> None:
    """Raises ``ValueError`` if a weighting compares tasks and every step has one.

    Args:
        args: The arguments.
        suite: The tasks; those of weight 0 are never present.
    """
    if weighting_of(args.weighting).compares_tasks and _most_tasks_of_a_step(args, suite) < 2:
        raise ValueError(
            f"`weighting` must have two tasks or more in a step to compare, but with "
            f"{args.weighting!r} every step has one. Set `tasks_per_step` to 'all' or a higher "
            f"number, or choose a weighting that looks at each task alone, such as 'uncertainty'."
        )


def check_gradient_method(args: MultiTaskTrainingArguments, suite: TaskSuite) -> None:
    """Raises ``ValueError`` if a gradient method would do nothing, or its engine cannot run.

    Args:
        args: The arguments.
        suite: The tasks; those of weight 0 are never present.
    """
    if args.gradient_method is None:
        return
    if sum(weight > 0 for weight in suite.weights.values()) < 2:
        raise ValueError(
            f"`gradient_method` must have two tasks or more to compare, but the suite trains one. "
            f"Leave it out: {args.gradient_method!r} would do nothing."
        )
    if _most_tasks_of_a_step(args, suite) < 2:
        raise ValueError(
            f"`gradient_method` must have two tasks or more in a step to compare, but with "
            f"`tasks_per_step={args.tasks_per_step!r}` every step has one. Set it to 'all' or a "
            f"higher number, or choose a `weighting`."
        )
    method = gradient_method_of(args.gradient_method)
    _check_primaries(args, suite, method.primaries)
    num_batches = method.num_batches
    if args.gradient_accumulation_steps % num_batches:
        raise ValueError(
            f"`gradient_accumulation_steps` must be a multiple of {num_batches} with the gradient "
            f"method {args.gradient_method!r}, which compares gradients of {num_batches} batches "
            f"of a step with each other, but got {args.gradient_accumulation_steps}. Set it to "
            f"{num_batches} and divide `per_device_train_batch_size` by it, or choose a method "
            f"that compares the gradients of one batch, such as 'mgda'."
        )
    if args.torch_compile:
        _check_compiled(args, suite)
    if args.gradient_engine is not None:
        _check_engine(args, suite, ENGINES[args.gradient_engine])


def _check_primaries(
    args: MultiTaskTrainingArguments, suite: TaskSuite, primaries: Sequence[int]
) -> None:
    positions = dict(enumerate(suite))
    trained = {position for position, task in positions.items() if suite.weights[task] > 0}
    if wrong := [position for position in primaries if position not in trained]:
        raise ValueError(
            f"`primary` must name tasks that are trained by their positions, "
            f"{ {position: positions[position] for position in sorted(trained)} }, but got {wrong} "
            f"in {args.gradient_method!r}."
        )


def _check_compiled(args: MultiTaskTrainingArguments, suite: TaskSuite) -> None:
    several = {source: tasks for source, tasks in suite.sources.items() if len(tasks) > 1}
    if several or args.gradient_engine not in (None, "streaming"):
        raise ValueError(
            f"`torch_compile` must be False with a gradient method unless each source has one task "
            f"and the engine is 'streaming', because a compiled forward has one backward, but got "
            f"the engine {args.gradient_engine!r} and sources of several tasks {several}."
        )
    if args.gradient_update_every > 1:
        raise ValueError(
            f"`gradient_update_every` must be left out with `torch_compile`, because steps between "
            f"would need a graph of their own, but got {args.gradient_update_every}."
        )


def _check_engine(args: MultiTaskTrainingArguments, suite: TaskSuite, engine: type[Engine]) -> None:
    draws = len(suite.sources) if args.tasks_per_step == "all" else args.tasks_per_step
    is_merged = len(suite.sources) == 1 and args.batches == "merged"
    one_draw = draws == 1 or is_merged
    if engine.needs_same_rows and not (one_draw and args.gradient_accumulation_steps == 1):
        raise ValueError(
            f"`gradient_engine` must be another one unless all tasks of a step are on the same "
            f"rows of one forward, because other rows have other representations, but got "
            f"{args.gradient_engine!r} with `tasks_per_step={args.tasks_per_step!r}` and "
            f"`gradient_accumulation_steps={args.gradient_accumulation_steps}`."
        )
    if engine.needs_same_rows and args.gradient_scope is not None:
        raise ValueError(
            f"`gradient_scope` must be left out with the engine {args.gradient_engine!r}, which "
            f"compares no gradients of parameters, but got {args.gradient_scope!r}."
        )
    if not engine.needs_one_backward:
        return
    several = {source: tasks for source, tasks in suite.sources.items() if len(tasks) > 1}
    if args.batches != "merged" or args.gradient_accumulation_steps > 1 or several:
        raise ValueError(
            f"`gradient_engine` must be another one unless every step has one merged batch of rows "
            f"with one task each, but got {args.gradient_engine!r} with "
            f"`batches={args.batches!r}`, `gradient_accumulation_steps="
            f"{args.gradient_accumulation_steps}` and sources of several tasks {several}."
        )


def _most_tasks_of_a_step(args: MultiTaskTrainingArguments, suite: TaskSuite) -> int:
    on_source = sorted(
        (sum(suite.weights[task] > 0 for task in tasks) for tasks in suite.sources.values()),
        reverse=True,
    )
    draws = len(on_source) if args.tasks_per_step == "all" else int(args.tasks_per_step)
    return sum(on_source[:draws])


def check_long_enough(
    args: MultiTaskTrainingArguments, *, steps: int, steps_per_epoch: int
) -> None:
    """Raises ``ValueError`` if a run ends before its weighting has something to go by.

    Args:
        args: The arguments.
        steps: Steps of the run.
        steps_per_epoch: Steps of an epoch.
    """
    weighting = weighting_of(args.weighting)
    waits = max(weighting.idle_steps, weighting.idle_epochs * steps_per_epoch)
    if weighting.needs_evaluation:
        interval = steps_per_epoch
        if args.eval_strategy == "steps":
            given = float(args.eval_steps or 1)
            interval = math.ceil(given * steps) if given < 1 else int(given)
        waits = (weighting.idle_evaluations - args.eval_on_start) * interval
    if waits >= steps:
        raise ValueError(
            f"`weighting` must have something to go by before the run ends, but "
            f"{args.weighting!r} waits for {waits} of {steps} steps. Train for longer, or give it "
            f"shorter intervals."
        )


def check_by_source(name: str, datasets: Any, suite: TaskSuite) -> None:
    """Raises ``TypeError`` unless data sets are given by the names of their sources."""
    if not isinstance(datasets, Mapping):
        example = dict.fromkeys(suite.sources, "...")
        raise TypeError(
            f"`{name}` must be a mapping of sources to data sets, such as {example}, but got "
            f"{type(datasets).__name__}."
        )


def check_prepared(name: str, prepared: TaskSuite, suite: TaskSuite, *, is_partial: bool) -> None:
    """Raises unless data were prepared for the tasks of the model, with its label names.

    Args:
        name: The argument that the data were passed as.
        prepared: The tasks that the data were prepared for.
        suite: The tasks of the model.
        is_partial: Whether some of the tasks will do.

    Raises:
        ValueError: If a task is none of the model's, one is missing, or label names differ.
    """
    expected = [task for task in suite if task in prepared] if is_partial else list(suite)
    check_same_names(name, prepared, expected, "task")
    for task, spec in prepared.items():
        if spec.labels != suite[task].labels:
            raise ValueError(
                f"`{name}` must be prepared with the labels of the model, but for task {task!r} it "
                f"has {spec.labels} and the model {suite[task].labels}. Prepare it again with "
                f"`model.suite`."
            )


def set_best_metric_direction(
    args: MultiTaskTrainingArguments, suite: TaskSuite, compute_metrics: Mapping[str, Any]
) -> None:
    """Checks ``metric_for_best_model``, and says whether greater is better if the user did not.

    Upstream takes every metric that is no loss for better when greater, so that an error such as
    ``eval_valence_rmse`` would keep the worst model.

    Args:
        args: The arguments; ``greater_is_better`` is set.
        suite: The tasks that are evaluated.
        compute_metrics: More metrics, by task; their names are known only when they run.

    Raises:
        KeyError: If no evaluation will report that metric.
        ValueError: If ``eval_mean`` is asked for and a first metric is better when lower, or the
            direction that the user gave is not the metric's.
    """
    if args.metric_for_best_model is None:
        return
    key = args.metric_for_best_model.removeprefix("eval_")
    directions = _direction_by_key(suite, args)
    if key in ("mean", "weighted_mean") and key not in directions:
        worse = [
            metric.key for metric in first_metrics(suite).values() if not metric.greater_is_better
        ]
        reason = f"{worse} better when lower" if worse else "all tasks of equal weight"
        raise ValueError(
            f"`metric_for_best_model` must name a metric that is reported, but got 'eval_{key}' "
            f"with {reason}. Name one, such as 'eval_loss', or put another metric first."
        )
    if key not in directions and any(key.startswith(f"{task}_") for task in compute_metrics):
        return
    check_known("`metric_for_best_model`", key, directions)
    if args.has_given_direction and args.greater_is_better != directions[key]:
        raise ValueError(
            f"`greater_is_better` must be {directions[key]} for {key!r}, but got "
            f"{args.greater_is_better}. Leave it out: the metric knows."
        )
    args.greater_is_better = directions[key]


def _direction_by_key(suite: TaskSuite, args: MultiTaskTrainingArguments) -> dict[str, bool]:
    """Whether greater is better, for each key that an evaluation reports."""
    directions = {"loss": False}
    for task in suite:
        directions[f"{task}_loss"] = False
        for name, metric in metrics_of(suite, task).items():
            directions[f"{task}_{name}"] = metric.greater_is_better
    names = aggregate_names(
        suite, has_baselines=any(task in suite for task in args.baseline_scores or ())
    )
    return directions | dict.fromkeys(names, True)
