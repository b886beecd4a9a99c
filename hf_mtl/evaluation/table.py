# SPDX-License-Identifier: Apache-2.0
"""Results as rows of a table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hf_mtl.evaluation.scores import metrics_of
from hf_mtl.tasks import TaskSuite

__all__ = ["ResultRow", "result_rows"]


@dataclass(frozen=True)
class ResultRow:
    """One metric of one task.

    Args:
        task: Name of the task.
        type: Type of the task.
        source: Name of the rows that the task is on.
        num_rows: Labelled rows that were judged.
        metric: Name of the metric.
        value: Its value; ``None`` where the metric is not defined.
        baseline: Value of the constant answer; ``None`` where the metric is not defined on it, or
            it was not measured.
        greater_is_better: Whether a larger value is the better one.
    """

    task: str
    type: str
    source: str
    num_rows: int
    metric: str
    value: float | None
    baseline: float | None = None
    greater_is_better: bool = True


def result_rows(
    suite: TaskSuite,
    metrics: Mapping[str, float],
    *,
    num_rows: Mapping[str, int],
    baselines: Mapping[str, Mapping[str, float]] | None = None,
    prefix: str = "eval",
) -> list[ResultRow]:
    """Rows of the table of results: tasks in the suite's order, metrics in the task's.

    Args:
        suite: The tasks.
        metrics: What ``task_metrics`` gave; other keys are left aside.
        num_rows: Labelled rows of each task.
        baselines: What ``constant_baseline`` gave.
        prefix: First part of each key of ``metrics``.
    """
    known = baselines or {}
    return [
        ResultRow(
            task=task,
            type=suite[task].type,
            source=suite.source_of(task),
            num_rows=num_rows[task],
            metric=name,
            value=_defined(metrics[f"{prefix}_{task}_{name}"]),
            baseline=_defined(known[task][name]) if task in known else None,
            greater_is_better=metric.greater_is_better,
        )
        for task in suite
        for name, metric in metrics_of(suite, task).items()
    ]


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
