# SPDX-License-Identifier: Apache-2.0
"""One class a word."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from hf_mtl.tasks.labels.base import LABELS, LabelKind
from hf_mtl.tasks.labels.class_names import (
    class_index,
    class_indices,
    distinct_names,
    majority_logits,
)
from hf_mtl.tasks.labels.column import LabelColumn, RowWords
from hf_mtl.tasks.labels.missing import IGNORE_INDEX, is_missing, labelled_mask

__all__ = ["TokenClass"]


@LABELS.register("token_class")
@final
class TokenClass(LabelKind):
    """One class for each word of a row.

    The first token of a word carries its label and gives its answer; all other positions are
    ignored. A row without labels (``None``) is ignored as a whole.
    """

    role: ClassVar[str] = "labels"
    has_names: ClassVar[bool] = True
    needs_words: ClassVar[bool] = True
    per_token: ClassVar[bool] = True

    def names_from(self, values: Iterable[Any]) -> tuple[str, ...]:
        return distinct_names(chain.from_iterable(row for row in values if row is not None))

    def encode(self, column: LabelColumn) -> list[list[int]]:
        words = _given(column.words)
        index_by_value = class_indices(column.names, column.value_names)
        encoded = []
        rows = zip(column.values, words.words, words.word_ids, strict=True)
        for row, (labels, row_words, positions) in enumerate(rows, start=column.first_row):
            if is_missing(labels):
                encoded.append([IGNORE_INDEX] * len(positions))
                continue
            _check_one_label_a_word(labels, row_words, column.task, row)
            indices = [class_index(label, index_by_value, column, row) for label in labels]
            encoded.append(_at_first_tokens(indices, positions))
        return encoded

    def collate(self, values: Sequence[Any], length: int | None, padding_side: str) -> Tensor:
        width = max(map(len, values), default=0) if length is None else length
        labels = torch.full((len(values), width), IGNORE_INDEX, dtype=torch.long)
        for row, value in zip(labels, values, strict=True):
            start = 0 if padding_side == "right" else width - len(value)
            row[start : start + len(value)] = torch.as_tensor(value, dtype=torch.long)
        return labels

    def missing(self, values: Sequence[Any]) -> list[list[int]]:
        return [[IGNORE_INDEX] * len(value) for value in values]

    def num_outputs(self, names: Sequence[str]) -> int:
        return len(names)

    def constant_logits(self, labels: Tensor, num_outputs: int) -> Tensor:
        return majority_logits(labels, num_outputs)

    def pairs(self, logits: Tensor, labels: Tensor) -> tuple[list[list[int]], list[list[int]]]:
        predicted = logits.argmax(dim=-1)
        masks = labelled_mask(labels)
        labelled_rows = masks.any(dim=-1).nonzero().flatten().tolist()
        return (
            [predicted[row][masks[row]].tolist() for row in labelled_rows],
            [labels[row][masks[row]].tolist() for row in labelled_rows],
        )

    def answers(
        self, logits: Tensor, names: Sequence[str], words: RowWords | None = None
    ) -> list[list[dict[str, Any]]]:
        words = _given(words)
        scores, indices = logits.float().softmax(dim=-1).max(dim=-1)
        answers = []
        for row, (row_words, positions) in enumerate(zip(words.words, words.word_ids, strict=True)):
            row_answers = []
            for position in _first_tokens(positions):
                word = row_words[positions[position]]  # type: ignore[index]  # not None there
                label = names[int(indices[row, position])]
                row_answers.append(
                    {"word": word, "label": label, "score": float(scores[row, position])}
                )
            answers.append(row_answers)
        return answers


def _given(words: RowWords | None) -> RowWords:
    if words is None:
        raise ValueError("`words` must be given for labels of words, but got None.")
    return words


def _check_one_label_a_word(labels: Any, words: Sequence[str], task: str, row: int) -> None:
    if not isinstance(labels, Sequence) or isinstance(labels, str):
        raise ValueError(
            f"The labels of task {task!r} must be a list with one label a word, but row {row} has "
            f"{labels!r}."
        )
    if len(labels) != len(words):
        raise ValueError(
            f"The labels of task {task!r} must be as many as the words, but row {row} has "
            f"{len(labels)} labels for {len(words)} words. Mark a word without a label as None."
        )


def _first_tokens(word_ids: Sequence[int | None]) -> list[int]:
    """Positions of the first token of each word."""
    seen: set[int | None] = {None}
    positions = []
    for position, word in enumerate(word_ids):
        if word not in seen:
            seen.add(word)
            positions.append(position)
    return positions


def _at_first_tokens(indices: Sequence[int], word_ids: Sequence[int | None]) -> list[int]:
    """Class of each position: its word's at the word's first token, else ``IGNORE_INDEX``."""
    labels = [IGNORE_INDEX] * len(word_ids)
    for position in _first_tokens(word_ids):
        labels[position] = indices[word_ids[position]]  # type: ignore[index]  # not None there
    return labels
