# SPDX-License-Identifier: Apache-2.0
"""Which of two texts is the better."""

from collections.abc import Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from hf_mtl.tasks.labels.base import LABELS, ProblemType
from hf_mtl.tasks.labels.best_sequence import BestSequence
from hf_mtl.tasks.labels.column import LabelColumn, RowWords
from hf_mtl.tasks.labels.missing import IGNORE_INDEX, is_missing, labelled_mask

__all__ = ["Preference"]

_SIDES = ("chosen", "rejected")


@LABELS.register("preference")
@final
class Preference(BestSequence):
    """The better one of two texts, by the name of its role or by its place, 0 or 1.

    Without a column of labels it is ``chosen`` in every row. For metrics, predictions are how much
    higher ``chosen`` is scored, and references 1 or -1.
    """

    default: ClassVar[Any] = "chosen"
    # Texts are scored one by one, so that a place in the pair is no answer.
    has_constant_answer: ClassVar[bool] = False
    # One output, which has no bounds.
    problem_type: ClassVar[ProblemType] = "regression"

    def encode(self, column: LabelColumn) -> list[int]:
        return [
            _side(value, column.task, row)
            for row, value in enumerate(column.values, start=column.first_row)
        ]

    def constant_logits(self, labels: Tensor, num_outputs: int) -> Tensor:
        del labels, num_outputs
        return torch.zeros(2, dtype=torch.double)

    def pairs(self, logits: Tensor, labels: Tensor) -> tuple[list[float], list[float]]:
        mask = labelled_mask(labels)
        margins = (logits[mask, 0] - logits[mask, 1]).float()
        return margins.tolist(), (1.0 - 2.0 * labels[mask]).tolist()

    def answers(
        self, logits: Tensor, names: Sequence[str], words: RowWords | None = None
    ) -> list[Any]:
        """Scores of single texts; of pairs the better one, with its probability."""
        del names, words
        if logits.shape[-1] == 1:
            return list(logits.squeeze(-1).float().tolist())
        shares, places = logits.float().softmax(dim=-1).max(dim=-1)
        return [
            {"label": _SIDES[place], "score": share}
            for place, share in zip(places.tolist(), shares.tolist(), strict=True)
        ]


def _side(value: Any, task: str, row: int) -> int:
    if is_missing(value):
        return IGNORE_INDEX
    if isinstance(value, str) and value in _SIDES:
        return _SIDES.index(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value in (0, 1):
        return int(value)
    raise ValueError(
        f"The label of task {task!r} must be 'chosen' or 0 where that text is the better one, "
        f"'rejected' or 1 where the other is, but row {row} has {value!r}. Mark a missing label, "
        f"or a draw, as None."
    )
