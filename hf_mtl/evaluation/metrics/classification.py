# SPDX-License-Identifier: Apache-2.0
"""Metrics of classes: one a row, or one a word."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, matthews_corrcoef

from hf_mtl.evaluation.metrics.base import METRICS, Metric

__all__ = ["Accuracy", "F1Macro", "F1Micro", "Matthews"]

CLASS_KINDS = frozenset({"class", "ordinal", "token_class"})
SET_KINDS = CLASS_KINDS | {"class_set"}


@METRICS.register("accuracy")
@final
@dataclass(frozen=True)
class Accuracy(Metric):
    """Share of the rows, or of the words, that are predicted right.

    A row with any number of classes is right if all of them are.

    Example:
        >>> Accuracy().compute([0, 1, 1, 2], [0, 1, 2, 2])
        0.75
    """

    label_kinds: ClassVar[frozenset[str]] = SET_KINDS | {"choice"}
    greater_is_better: ClassVar[bool] = True

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        if _are_sets(references):
            pairs = zip(predictions, references, strict=True)
            hits: int = sum(found == right for found, right in pairs)
            return hits / len(references)
        return float((class_ids(predictions) == class_ids(references)).mean())


@METRICS.register("f1_macro")
@final
@dataclass(frozen=True)
class F1Macro(Metric):
    """Mean of the classes' F1; every class counts alike, however rare.

    The classes are those that occur among the references or the predictions.
    """

    label_kinds: ClassVar[frozenset[str]] = SET_KINDS
    greater_is_better: ClassVar[bool] = True

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        return _f1(predictions, references, average="macro")


@METRICS.register("f1_micro")
@final
@dataclass(frozen=True)
class F1Micro(Metric):
    """F1 of all decisions together; equals accuracy where each element has exactly one class."""

    label_kinds: ClassVar[frozenset[str]] = SET_KINDS
    greater_is_better: ClassVar[bool] = True

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        return _f1(predictions, references, average="micro")


@METRICS.register("matthews")
@final
@dataclass(frozen=True)
class Matthews(Metric):
    """Matthews' correlation of predicted and right classes, -1 to 1; 0 for any constant answer.

    The metric of unbalanced classes (CoLA of GLUE). It is not defined where all predictions and all
    references are one class.

    Source:
        Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient,
        Computational Biology and Chemistry 28 (2004), the form for more than two classes.
    """

    label_kinds: ClassVar[frozenset[str]] = CLASS_KINDS
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
        return float(matthews_corrcoef(right, predicted))


def class_ids(values: Sequence[Any]) -> NDArray[np.int64]:
    """Class ids of all rows or words: rows of words are joined."""
    flat = chain.from_iterable(values) if values and isinstance(values[0], Sequence) else values
    return np.fromiter(flat, dtype=np.int64)


def _are_sets(values: Sequence[Any]) -> bool:
    """Whether a row has any number of classes, rather than one, or one for each word."""
    return bool(values) and isinstance(values[0], frozenset)


def _indicators(values: Sequence[frozenset[int]], num_classes: int) -> NDArray[np.bool_]:
    """Which classes each row has: ``[N, C]``."""
    found = np.zeros((len(values), num_classes), dtype=np.bool_)
    for row, classes in zip(found, values, strict=True):
        row[list(classes)] = True
    return found


def _f1(predictions: Sequence[Any], references: Sequence[Any], average: str) -> float:
    right: NDArray[Any]
    predicted: NDArray[Any]
    if _are_sets(references):
        # Classes that occur nowhere have no F1.
        classes = sorted(frozenset().union(*predictions, *references))
        if not classes:
            return float("nan")
        right, predicted = (
            _indicators(values, classes[-1] + 1)[:, classes] for values in (references, predictions)
        )
    else:
        right, predicted = class_ids(references), class_ids(predictions)
    return float(f1_score(right, predicted, average=average, zero_division=0.0))
