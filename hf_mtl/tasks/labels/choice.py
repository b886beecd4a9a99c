# SPDX-License-Identifier: Apache-2.0
"""One of the choices that a row brings along."""

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from hf_mtl.tasks.labels.base import LABELS
from hf_mtl.tasks.labels.best_sequence import BestSequence
from hf_mtl.tasks.labels.column import LabelColumn, RowWords
from hf_mtl.tasks.labels.missing import IGNORE_INDEX, is_missing, labelled_mask

__all__ = ["Choice"]


@LABELS.register("choice")
@final
class Choice(BestSequence):
    """The right one of a row's choices: its index, counted from 0, or its text."""

    def encode(self, column: LabelColumn) -> list[int]:
        if column.inputs is None or "choices" not in column.inputs:
            raise ValueError(
                f"The labels of task {column.task!r} must be those of rows with `choices`, but "
                f"there are none. Use them with the input 'choices'."
            )
        rows = zip(column.values, column.inputs["choices"], strict=True)
        return [
            _index(value, choices, column.task, row)
            for row, (value, choices) in enumerate(rows, start=column.first_row)
        ]

    def constant_logits(self, labels: Tensor, num_outputs: int) -> Tensor:
        del num_outputs
        # The most frequent place; in rows that have fewer choices it is wrong.
        return one_hot(torch.bincount(labels[labelled_mask(labels)]).argmax()).double()

    def pairs(self, logits: Tensor, labels: Tensor) -> tuple[list[int], list[int]]:
        mask = labelled_mask(labels)
        return logits[mask].argmax(dim=-1).tolist(), labels[mask].tolist()

    def answers(
        self, logits: Tensor, names: Sequence[str], words: RowWords | None = None
    ) -> list[dict[str, Any]]:
        del names, words
        scores, indices = logits.float().softmax(dim=-1).max(dim=-1)
        return [
            {"label": index, "score": score}
            for index, score in zip(indices.tolist(), scores.tolist(), strict=True)
        ]


def _index(value: Any, choices: Sequence[str], task: str, row: int) -> int:
    if is_missing(value):
        return IGNORE_INDEX
    if isinstance(value, str) and value in choices:
        index = list(choices).index(value)
        if value.isdecimal() and int(value) in range(len(choices)) and int(value) != index:
            raise ValueError(
                f"The label of task {task!r} must be clear, but {value!r} in row {row} is the text "
                f"of choice {index} and may be the index of another. Give indices as numbers."
            )
        return index
    # Many data sets write the index as a text, and columns with gaps are read as floats.
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if is_number and number in range(len(choices)):
        return int(number)
    raise ValueError(
        f"The label of task {task!r} must be a choice of its row, as its index from 0 or its text, "
        f"but row {row} has {value!r} for {list(choices)}. Mend it, or mark a missing label as "
        f"None."
    )
