# SPDX-License-Identifier: Apache-2.0
"""Metrics of tokens that have to be recovered."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, final

import numpy as np

from hf_mtl.evaluation.metrics.base import METRICS, Metric

__all__ = ["MaskedAccuracy", "Perplexity"]


@METRICS.register("masked_accuracy")
@final
@dataclass(frozen=True)
class MaskedAccuracy(Metric):
    """Share of the hidden tokens, over all rows, of which the likeliest token is the right one.

    Example:
        >>> right = [[(5, 0.0), (9, 0.0)], [(7, 0.0), (8, 0.0)]]
        >>> MaskedAccuracy().compute([[(5, 0.1), (6, 2.0)], [(7, 0.3), (8, 0.2)]], right)
        0.75
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"masked_token"})
    greater_is_better: ClassVar[bool] = True

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        pairs = zip(chain.from_iterable(predictions), chain.from_iterable(references), strict=True)
        return float(np.mean([token == right for (token, _), (right, _) in pairs]))


@METRICS.register("perplexity")
@final
@dataclass(frozen=True)
class Perplexity(Metric):
    """Exponential of the mean loss of the hidden tokens, over all rows.

    Example:
        >>> import math
        >>> right = [[(5, 0.0)], [(8, 0.0)]]
        >>> round(Perplexity().compute([[(5, math.log(2))], [(7, math.log(8))]], right), 6)
        4.0
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"masked_token"})
    greater_is_better: ClassVar[bool] = False

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        losses = [loss for _, loss in chain.from_iterable(predictions)]
        # An untrained model may be beyond the range of floats.
        return float(np.exp(min(float(np.mean(losses)), 700.0)))
