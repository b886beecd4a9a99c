# SPDX-License-Identifier: Apache-2.0
"""Metrics of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hf_mtl.evaluation.metrics.base import METRICS, Metric

__all__ = ["MAE", "MSE", "R2", "RMSE", "Pearson", "Spearman"]

Numbers = NDArray[np.float64]

SCORE_KINDS = frozenset({"score"})


@METRICS.register("pearson")
@final
@dataclass(frozen=True)
class Pearson(Metric):
    """Linear correlation of predictions and references, -1 to 1.

    It judges the order and the distances, not the scale. It is not defined where one of the two is
    constant.

    Example:
        >>> Pearson().compute([1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
        1.0
    """

    label_kinds: ClassVar[frozenset[str]] = SCORE_KINDS
    greater_is_better: ClassVar[bool] = True

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        return _correlation(_numbers(predictions), _numbers(references))


@METRICS.register("spearman")
@final
@dataclass(frozen=True)
class Spearman(Metric):
    """Correlation of the ranks of predictions and references, -1 to 1.

    It judges the order alone; equal values share the mean of their ranks. It is not defined where
    one of the two is constant.
    """

    label_kinds: ClassVar[frozenset[str]] = SCORE_KINDS
    greater_is_better: ClassVar[bool] = True

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        return _correlation(rankdata(_numbers(predictions)), rankdata(_numbers(references)))


@METRICS.register("mse")
@final
@dataclass(frozen=True)
class MSE(Metric):
    """Mean squared error, in squared units of the label."""

    label_kinds: ClassVar[frozenset[str]] = SCORE_KINDS
    greater_is_better: ClassVar[bool] = False
    best: ClassVar[float] = 0.0

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        return _mean_squared_error(_numbers(predictions), _numbers(references))


@METRICS.register("rmse")
@final
@dataclass(frozen=True)
class RMSE(Metric):
    """Root of the mean squared error, in units of the label."""

    label_kinds: ClassVar[frozenset[str]] = SCORE_KINDS
    greater_is_better: ClassVar[bool] = False
    best: ClassVar[float] = 0.0

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        return float(np.sqrt(_mean_squared_error(_numbers(predictions), _numbers(references))))


@METRICS.register("mae")
@final
@dataclass(frozen=True)
class MAE(Metric):
    """Mean absolute error, in units of the label; outliers count less than in ``rmse``."""

    label_kinds: ClassVar[frozenset[str]] = SCORE_KINDS
    greater_is_better: ClassVar[bool] = False
    best: ClassVar[float] = 0.0

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        return float(np.abs(_numbers(predictions) - _numbers(references)).mean())


@METRICS.register("r2")
@final
@dataclass(frozen=True)
class R2(Metric):
    """Share of the references' variance that the predictions explain, at most 1.

    Predicting the mean of the references gives 0, and worse predictions a negative value. It is not
    defined where the references are constant.
    """

    label_kinds: ClassVar[frozenset[str]] = SCORE_KINDS
    greater_is_better: ClassVar[bool] = True

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        right = _numbers(references)
        if not _varies(right):
            return float("nan")
        return float(1.0 - _mean_squared_error(_numbers(predictions), right) / right.var())


def _numbers(values: Sequence[Any]) -> Numbers:
    return np.asarray(values, dtype=np.float64)


def _mean_squared_error(predicted: Numbers, right: Numbers) -> float:
    return float(np.square(predicted - right).mean())


def _varies(values: Numbers) -> bool:
    """Whether the values are finite and differ by more than rounding.

    A network that answers a constant does so up to rounding, and a correlation of rounding errors
    means nothing.
    """
    return bool(
        np.isfinite(values).all() and np.ptp(values) > 1e-13 * np.abs(values).max(initial=0.0)
    )


def _correlation(first: Numbers, second: Numbers) -> float:
    if not (_varies(first) and _varies(second)):
        return float("nan")
    first, second = first - first.mean(), second - second.mean()
    # Scaled before multiplying, so that neither tiny nor huge values leave the range of floats.
    first, second = first / np.abs(first).max(), second / np.abs(second).max()
    cosine = first @ second / np.sqrt((first @ first) * (second @ second))
    return float(np.clip(cosine, -1.0, 1.0))
