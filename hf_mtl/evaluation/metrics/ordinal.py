# SPDX-License-Identifier: Apache-2.0
"""Metrics of ordered classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from sklearn.metrics import cohen_kappa_score

from hf_mtl.evaluation.metrics.base import METRICS, Metric
from hf_mtl.evaluation.metrics.classification import class_ids

__all__ = ["QuadraticKappa", "RankMAE"]


@METRICS.register("quadratic_kappa")
@final
@dataclass(frozen=True)
class QuadraticKappa(Metric):
    """Agreement beyond chance, -1 to 1, where being off by two counts four times as much as by one.

    It is not defined where all predictions and all references are one class.

    Source:
        Cohen 1968, "Weighted kappa", Psychological Bulletin 70.
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"ordinal"})
    greater_is_better: ClassVar[bool] = True

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        predicted, right = class_ids(predictions), class_ids(references)
        if len(np.union1d(predicted, right)) < 2:
            return float("nan")
        # Classes that do not occur take part, because they lie between those that do.
        classes = np.arange(max(predicted.max(), right.max()) + 1)
        return float(cohen_kappa_score(right, predicted, labels=classes, weights="quadratic"))


@METRICS.register("rank_mae")
@final
@dataclass(frozen=True)
class RankMAE(Metric):
    """How many classes a prediction is off, on average.

    Example:
        >>> RankMAE().compute([0, 2, 1, 3], [0, 1, 1, 1])
        0.75
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"ordinal"})
    greater_is_better: ClassVar[bool] = False
    best: ClassVar[float] = 0.0

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        return float(np.abs(class_ids(predictions) - class_ids(references)).mean())
