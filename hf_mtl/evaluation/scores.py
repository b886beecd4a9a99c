# SPDX-License-Identifier: Apache-2.0
"""Every task judged by its own metrics, and one number for all."""

from collections.abc import Mapping
from statistics import fmean

from hf_mtl._checks import check_same_names
from hf_mtl.evaluation.collection import TaskPredictions
from hf_mtl.evaluation.metrics import METRICS, Metric
from hf_mtl.tasks import TaskSpec, TaskSuite, check_metric_keys

__all__ = ["check_metrics", "metrics_of", "task_metrics", "task_scores"]


def metrics_of(suite: TaskSuite, task: str) -> dict[str, Metric]:
    """Metrics of a task, by the names of their values, in the order of the spec.

    Raises:
        KeyError: If a metric is unknown; the message offers the nearest one.
        ImportError: If a metric needs a package that is not installed.
        TypeError: If an entry is none, or one of its fields is unknown or missing.
        ValueError: If a metric cannot judge the task, or is given twice.
    """
    metrics: dict[str, Metric] = {}
    for entry in suite[task].metric_entries:
        try:
            metric = METRICS.build(entry)
        except (KeyError, TypeError, ValueError) as error:
            raise type(error)(f"`metrics` of task {task!r}: {error}") from error
        if problem := metric.problem_with(suite[task]):
            raise ValueError(f"`metrics` of task {task!r} {problem}")
        if metric.reported_name in metrics:
            raise ValueError(
                f"`metrics` of task {task!r} must be distinct, but {metric.reported_name!r} is "
                f"given twice. Leave one out."
            )
        metrics[metric.reported_name] = metric
    return metrics


def check_metrics(suite: TaskSuite) -> None:
    """Raises unless every task has metrics that exist, suit it, and report under keys of their own.

    Raises:
        KeyError: If a metric is unknown; the message offers the nearest one.
        ImportError: If a metric needs a package that is not installed.
        TypeError: If an entry is none, or one of its fields is unknown or missing.
        ValueError: If a metric cannot judge its task, or two values would have one key.
    """
    check_metric_keys({task: metrics_of(suite, task) for task in suite})


def task_scores(suite: TaskSuite, task: str, predictions: TaskPredictions) -> dict[str, float]:
    """Value of each metric of one task.

    Raises:
        ValueError: If the task has no labelled row.
    """
    if not predictions.references:
        raise ValueError(
            f"Task {task!r} must have labelled rows to be evaluated, but has none. Check the "
            f"column {suite[task].label_column!r} of its data, or leave the task out."
        )
    labels = _label_names(suite[task])
    return {
        name: metric.compute(predictions.predictions, predictions.references, labels)
        for name, metric in metrics_of(suite, task).items()
    }


def task_metrics(
    suite: TaskSuite, collected: Mapping[str, TaskPredictions], prefix: str = "eval"
) -> dict[str, float]:
    """All numbers of one evaluation, flat, as a trainer logs them.

    Args:
        suite: The tasks.
        collected: Predictions of every one of them.
        prefix: First part of each key.

    Returns:
        ``{prefix}_{task}_loss`` and ``{prefix}_{task}_{metric}`` of every task; ``{prefix}_loss``,
        the weighted mean of the tasks' losses, as in training; and ``{prefix}_mean``, the mean of
        the tasks' first metrics, unless one of them is better when lower. A metric that is not
        defined on these predictions is NaN, and so is the mean then.

    Raises:
        ValueError: If a task is missing or has no labelled row.
    """
    check_same_names("collected", collected, suite, "task")
    values: dict[str, float] = {}
    for task in suite:
        scores = task_scores(suite, task, collected[task])
        values[f"{prefix}_{task}_loss"] = collected[task].loss
        values |= {f"{prefix}_{task}_{name}": score for name, score in scores.items()}
    values[f"{prefix}_loss"] = fmean(
        weight * collected[task].loss for task, weight in suite.weights.items()
    )
    first_metrics = {task: next(iter(metrics_of(suite, task).values())) for task in suite}
    if all(metric.greater_is_better for metric in first_metrics.values()):
        values[f"{prefix}_mean"] = fmean(
            values[f"{prefix}_{task}_{metric.reported_name}"]
            for task, metric in first_metrics.items()
        )
    return values


def _label_names(spec: TaskSpec) -> tuple[str, ...] | None:
    return spec.labels if spec.task_type.label_kind.has_names else None
