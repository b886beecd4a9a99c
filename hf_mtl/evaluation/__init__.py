# SPDX-License-Identifier: Apache-2.0
"""Predictions turned into numbers: metrics, scores of every task, baselines, tables."""

from hf_mtl.evaluation.baselines import constant_baseline
from hf_mtl.evaluation.collection import TaskPredictions, collect
from hf_mtl.evaluation.metrics import METRICS, Metric
from hf_mtl.evaluation.scores import check_metrics, metrics_of, task_metrics, task_scores
from hf_mtl.evaluation.table import ResultRow, result_rows

__all__ = [
    "METRICS",
    "Metric",
    "ResultRow",
    "TaskPredictions",
    "check_metrics",
    "collect",
    "constant_baseline",
    "metrics_of",
    "result_rows",
    "task_metrics",
    "task_scores",
]
