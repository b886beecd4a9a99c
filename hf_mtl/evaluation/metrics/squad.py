# SPDX-License-Identifier: Apache-2.0
"""Metrics of answers in words, as SQuAD judges them."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from hf_mtl.evaluation.metrics.base import METRICS, Metric

__all__ = ["AnswerF1", "ExactMatch"]

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


@METRICS.register("answer_f1")
@final
@dataclass(frozen=True)
class AnswerF1(Metric):
    """Mean over the questions of the F1 of the words that an answer shares with a right one.

    Case, punctuation and articles do not count. Of several right answers the nearest counts; where
    there is none, only no answer is right.

    Example:
        >>> AnswerF1().compute([["the Eiffel Tower in Paris"]], [["Eiffel Tower", "tower"]])
        0.6666666666666666

    Source:
        Rajpurkar et al. 2016, "SQuAD", section 6.1, https://arxiv.org/abs/1606.05250, and for
        questions without an answer Rajpurkar et al. 2018, https://arxiv.org/abs/1806.03822.
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"answer_span"})
    greater_is_better: ClassVar[bool] = True

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        return _mean_of_best(_f1, predictions, references)


@METRICS.register("exact_match")
@final
@dataclass(frozen=True)
class ExactMatch(Metric):
    """Share of the questions whose answer has the words of a right one, in their order.

    Case, punctuation and articles do not count; where there is no right answer, only no answer is.

    Example:
        >>> ExactMatch().compute([["the Tower!"], ["Lyon"]], [["Eiffel Tower", "tower"], []])
        0.5

    Source:
        As of ``answer_f1``.
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"answer_span"})
    greater_is_better: ClassVar[bool] = True

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        return _mean_of_best(lambda found, right: float(found == right), predictions, references)


def _words(text: str) -> list[str]:
    """What counts of an answer."""
    return _ARTICLE.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split()


def _f1(found: list[str], right: list[str]) -> float:
    """F1 of two bags of words; no words are like no words only."""
    if not found or not right:
        return float(found == right)
    return 2 * (Counter(found) & Counter(right)).total() / (len(found) + len(right))


def _mean_of_best(
    likeness: Callable[[list[str], list[str]], float],
    predictions: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
) -> float:
    """Mean over the questions of how alike the answer and the nearest right one are.

    Args:
        likeness: Of the words of two answers.
        predictions: For each question a list whose first entry is the answer; empty: no answer.
        references: For each question all right answers; empty: there is none.
    """
    scores = []
    for found, right in zip(predictions, references, strict=True):
        answer = _words(found[0]) if found else []
        # An answer of nothing but articles and punctuation counts as none.
        accepted = [words for words in map(_words, right) if words] or [[]]
        scores.append(max(likeness(answer, words) for words in accepted))
    return sum(scores) / len(scores)
