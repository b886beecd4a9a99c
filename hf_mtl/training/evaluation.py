# SPDX-License-Identifier: Apache-2.0
"""Evaluation as the Trainer hands it on, with metrics that users bring along."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from transformers import EvalPrediction
from transformers.trainer_utils import EvalLoopOutput

from hf_mtl.evaluation import ResultRow, collect, result_rows, task_metrics
from hf_mtl.models import MultiTaskModel
from hf_mtl.training.ranks import Ranks

__all__ = ["ComputeMetrics", "MetricModule", "evaluate_tasks"]


class MetricModule(Protocol):
    """What every module of ``evaluate`` can do."""

    def compute(self, *, predictions: Any, references: Any) -> Mapping[str, float] | None:
        """Names and values."""


ComputeMetrics = Callable[[EvalPrediction], Mapping[str, float]] | MetricModule


def evaluate_tasks(
    model: MultiTaskModel,
    batches: Iterable[Mapping[str, Any]],
    compute_metrics: Mapping[str, ComputeMetrics],
    *,
    prefix: str,
    ranks: Ranks,
    forward_context: Callable[[], AbstractContextManager[Any]],
    baseline_scores: Mapping[str, float] | None = None,
) -> tuple[EvalLoopOutput, list[ResultRow]]:
    """One pass over labelled batches; every task is measured by its own metrics.

    Args:
        model: The model.
        batches: Micro-batches of some of its tasks.
        compute_metrics: More metrics, by task.
        prefix: First part of each key.
        ranks: The ranks of the run; each has other rows.
        forward_context: Makes the context of each forward pass, such as mixed precision.
        baseline_scores: Value of the first metric to compare each task with, by task.

    Returns:
        Predictions and references by task with all metrics, the number of rows left open; and
        the metrics as rows of a table.
    """
    collected = collect(model, batches, forward_context=forward_context, gather=ranks.gather)
    suite = model.suite.subset(collected)
    metrics = task_metrics(suite, collected, prefix, baseline_scores)
    num_rows = {task: len(found.references) for task, found in collected.items()}
    rows = result_rows(suite, metrics, num_rows=num_rows, prefix=prefix)
    for task in compute_metrics.keys() & suite.keys():
        found = collected[task]
        values = _own_metrics(compute_metrics[task], found.predictions, found.references)
        own = {f"{prefix}_{task}_{name}": value for name, value in values.items()}
        if taken := sorted(own.keys() & metrics.keys()):
            raise ValueError(
                f"`compute_metrics` of task {task!r} must give names of its own, but {taken} are "
                f"reported already. Rename them."
            )
        metrics |= own
    predictions: Any = {task: found.predictions for task, found in collected.items()}
    references: Any = {task: found.references for task, found in collected.items()}
    return EvalLoopOutput(predictions, references, metrics, num_samples=None), rows


def _own_metrics(
    measure: ComputeMetrics, predictions: list[Any], references: list[Any]
) -> Mapping[str, float]:
    """Names and values of a user's metric of one task."""
    arrays: Any = _array(predictions), _array(references)
    if callable(measure):
        return measure(EvalPrediction(*arrays))
    return measure.compute(predictions=arrays[0], references=arrays[1]) or {}


def _array(rows: list[Any]) -> Any:
    """An array, as users expect it; rows of unequal length stay lists."""
    return rows if rows and isinstance(rows[0], list) else np.asarray(rows)
