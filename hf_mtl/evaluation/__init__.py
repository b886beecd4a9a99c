# SPDX-License-Identifier: Apache-2.0
"""Predictions turned into numbers: metrics, scores of every task, baselines, tables."""

from hf_mtl.evaluation.aggregates import (
    aggregate_names,
    check_baseline_scores,
    first_metrics,
    task_metrics,
)
from hf_mtl.evaluation.baselines import constant_baseline
from hf_mtl.evaluation.collection import TaskPredictions, collect
from hf_mtl.evaluation.metrics import METRICS, Metric
from hf_mtl.evaluation.scores import check_metrics, metrics_of, task_scores
from hf_mtl.evaluation.table import ResultRow, result_rows

__all__ = [
    "METRICS",
    "Metric",
    "ResultRow",
    "TaskPredictions",
    "aggregate_names",
    "check_baseline_scores",
    "check_metrics",
    "collect",
    "constant_baseline",
    "first_metrics",
    "metrics_of",
    "result_rows",
    "task_metrics",
    "task_scores",
]
