# SPDX-License-Identifier: Apache-2.0
"""Every task judged by its own metrics."""

from hf_mtl.evaluation.collection import TaskPredictions
from hf_mtl.evaluation.metrics import METRICS, Metric
from hf_mtl.tasks import TaskSpec, TaskSuite, check_metric_keys

__all__ = ["check_metrics", "metrics_of", "task_scores"]


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


def _label_names(spec: TaskSpec) -> tuple[str, ...] | None:
    return spec.labels if spec.task_type.label_kind.has_names else None
