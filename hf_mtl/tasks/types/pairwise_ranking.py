# SPDX-License-Identifier: Apache-2.0
"""The better one of two texts."""

from typing import ClassVar, final

from hf_mtl.tasks.base import TASK_TYPES, TaskType

__all__ = ["PairwiseRanking"]


@TASK_TYPES.register("pairwise-ranking")
@final
class PairwiseRanking(TaskType):
    """A score for each text, learned from pairs of which one is the better: a reward model.

    ``chosen`` is the better text of every row, unless a column is named for ``label``, which says
    which one is. A ``text`` that both share, such as a question, is read before each.
    """

    inputs: ClassVar[str] = "comparison"
    labels: ClassVar[str] = "preference"
    auto_model: ClassVar[str] = "AutoModelForSequenceClassification"
    loss: ClassVar[str] = "bradley_terry"
    metrics: ClassVar[tuple[str, ...]] = ("pairwise_accuracy",)
