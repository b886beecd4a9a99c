# SPDX-License-Identifier: Apache-2.0
"""All numbers of an evaluation: those of each task, and one for all tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from hf_mtl._checks import check_known, check_same_names
from hf_mtl._numbers import check_finite_number
from hf_mtl.evaluation.collection import TaskPredictions
from hf_mtl.evaluation.scores import metrics_of, task_scores
from hf_mtl.tasks import TaskSuite

__all__ = [
    "FirstMetric",
    "aggregate_names",
    "aggregates",
    "check_baseline_scores",
    "first_metrics",
    "task_metrics",
]


@dataclass(frozen=True)
class FirstMetric:
    """The metric of a task that counts where there is to be one number.

    Attributes:
        name: Name of the metric.
        key: Key of its value, without the prefix: ``{task}_{metric}``.
        greater_is_better: Whether a larger value is the better one.
    """

    name: str
    key: str
    greater_is_better: bool


def first_metrics(suite: TaskSuite) -> dict[str, FirstMetric]:
    """The first metric of each task."""
    found = {}
    for task in suite:
        name, metric = next(iter(metrics_of(suite, task).items()))
        found[task] = FirstMetric(name, f"{task}_{name}", metric.greater_is_better)
    return found


def aggregate_names(suite: TaskSuite, *, has_baselines: bool = False) -> list[str]:
    """Names of the aggregates that an evaluation of these tasks reports.

    Args:
        suite: The tasks.
        has_baselines: Whether there are scores to compare each of them with.
    """
    names = []
    if all(metric.greater_is_better for metric in first_metrics(suite).values()):
        is_weighted = any(suite.weights.values()) and len(set(suite.weights.values())) > 1
        names = ["mean", *(["weighted_mean"] if is_weighted else [])]
    return [*names, *(["delta_m"] if has_baselines else [])]


def aggregates(
    suite: TaskSuite,
    scores: Mapping[str, float],
    baseline_scores: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """All aggregates of an evaluation; NaN if a score is.

    ``mean`` and ``weighted_mean`` (by the weights of the tasks, where they are not equal) are there
    unless a first metric is better when lower. ``delta_m`` is the mean over the tasks of the
    relative difference to a baseline, positive where the task is better than it. Source:
    Maninis et al. 2019, https://arxiv.org/abs/1904.08918.

    Args:
        suite: The tasks.
        scores: Value of the first metric of each.
        baseline_scores: What to compare it with, by task; tasks without one do not count.
    """
    first = first_metrics(suite)
    known = {task: own for task, own in (baseline_scores or {}).items() if task in suite}
    values = {}
    for name in aggregate_names(suite, has_baselines=bool(known)):
        if name == "mean":
            values[name] = fmean(scores[task] for task in suite)
        elif name == "weighted_mean":
            values[name] = fmean((scores[task] for task in suite), weights=suite.weights.values())
        else:
            values[name] = fmean(
                (1 if first[task].greater_is_better else -1) * (scores[task] - own) / abs(own)
                for task, own in known.items()
            )
    return values


def task_metrics(
    suite: TaskSuite,
    collected: Mapping[str, TaskPredictions],
    prefix: str = "eval",
    baseline_scores: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """All numbers of one evaluation, flat, as a trainer logs them.

    Args:
        suite: The tasks.
        collected: Predictions of every one of them.
        prefix: First part of each key.
        baseline_scores: Value of the first metric to compare each task with, by task.

    Returns:
        ``{prefix}_{task}_loss`` and ``{prefix}_{task}_{metric}`` of every task; ``{prefix}_loss``,
        the weighted mean of the tasks' losses, as in training; and what ``aggregates`` makes of
        the tasks' first metrics, ``{prefix}_mean`` above all. A metric that is not defined on these
        predictions is NaN, and so are the aggregates then.

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
    first = first_metrics(suite)
    scores = {task: values[f"{prefix}_{metric.key}"] for task, metric in first.items()}
    found = aggregates(suite, scores, baseline_scores)
    return values | {f"{prefix}_{name}": value for name, value in found.items()}


def check_baseline_scores(scores: Mapping[str, float] | None, suite: TaskSuite) -> None:
    """Raises unless scores to compare with are of the suite's tasks, and not 0.

    Raises:
        KeyError: If a task is unknown.
        TypeError: If a score is no number.
        ValueError: If one is 0 or not finite: a relative difference to it is not defined.
    """
    if scores is not None and not isinstance(scores, Mapping):
        raise TypeError(
            f"`baseline_scores` must be a mapping of tasks to numbers, but got {scores!r}."
        )
    for task, score in (scores or {}).items():
        check_known("task in `baseline_scores`", task, suite)
        check_finite_number(f"baseline_scores[{task!r}]", score)
        if score == 0:
            raise ValueError(
                f"`baseline_scores[{task!r}]` must not be 0, to which a relative difference is not "
                f"defined. Leave the task out, or put another metric first."
            )
