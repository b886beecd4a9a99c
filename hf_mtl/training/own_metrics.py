# SPDX-License-Identifier: Apache-2.0
"""Metrics that users bring along as functions or as modules of ``evaluate``."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from transformers import EvalPrediction

__all__ = ["ComputeMetrics", "MetricModule", "own_metrics"]


class MetricModule(Protocol):
    """What every module of ``evaluate`` can do."""

    def compute(self, *, predictions: Any, references: Any) -> Mapping[str, float] | None:
        """Names and values."""


ComputeMetrics = Callable[[EvalPrediction], Mapping[str, float]] | MetricModule


def own_metrics(
    measure: ComputeMetrics, predictions: list[Any], references: list[Any]
) -> Mapping[str, float]:
    """Names and values of a user's metric of one task.

    Args:
        measure: A function of an ``EvalPrediction``, or an object with ``compute``.
        predictions: One entry a labelled row: a class id, a number, or a list of class ids.
        references: What is right, in the same form.
    """
    arrays: Any = _array(predictions), _array(references)
    if callable(measure):
        return measure(EvalPrediction(*arrays))
    return measure.compute(predictions=arrays[0], references=arrays[1]) or {}


def _array(rows: list[Any]) -> Any:
    """An array, as users expect it; rows of unequal length stay lists."""
    return rows if rows and isinstance(rows[0], list) else np.asarray(rows)
