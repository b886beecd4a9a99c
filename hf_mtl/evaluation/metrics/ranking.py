# SPDX-License-Identifier: Apache-2.0
"""Metrics of pairs of which one is the better."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from hf_mtl.evaluation.metrics.base import METRICS, Metric

__all__ = ["PairwiseAccuracy"]


@METRICS.register("pairwise_accuracy")
@final
@dataclass(frozen=True)
class PairwiseAccuracy(Metric):
    """Share of the pairs that are in the right order; equal scores count half.

    Example:
        >>> PairwiseAccuracy().compute([0.3, -2.0, 0.0, 1.0], [1.0, -1.0, 1.0, -1.0])
        0.625
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"preference"})
    greater_is_better: ClassVar[bool] = True

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        agreement = np.sign(np.asarray(predictions) * np.asarray(references))
        return float(((agreement + 1) / 2).mean())
