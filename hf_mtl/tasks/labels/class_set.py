# SPDX-License-Identifier: Apache-2.0
"""Any number of classes a row."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from hf_mtl.tasks.labels.base import LABELS, LabelKind, ProblemType
from hf_mtl.tasks.labels.class_names import class_index, class_indices, distinct_names
from hf_mtl.tasks.labels.column import LabelColumn, RowWords
from hf_mtl.tasks.labels.missing import IGNORE_INDEX, is_missing, labelled_mask

__all__ = ["ClassSet"]


@LABELS.register("class_set")
@final
class ClassSet(LabelKind):
    """Which of several classes a row has: none, one or many, each decided for itself.

    A row holds a list of names or ids, empty if it has no class, or one answer for each label: a
    list of floats (0.0 or 1.0) or of booleans, in which ``None`` and NaN are unknown. A row is
    missing as a whole where it is ``None``. A class is said to be there above a probability of 0.5.
    """

    role: ClassVar[str] = "labels"
    has_names: ClassVar[bool] = True
    problem_type: ClassVar[ProblemType] = "multi_label_classification"

    def names_from(self, values: Iterable[Any]) -> tuple[str, ...]:
        rows = [row for row in values if row is not None]
        if any(_is_vector(row) for row in rows):
            raise ValueError(
                "`labels` must be given for rows that hold an answer for each label, because the "
                "labels' names are not in the data, but got none."
            )
        return distinct_names(chain.from_iterable(rows))

    def encode(self, column: LabelColumn) -> list[list[float]]:
        index_by_value = class_indices(column.names, column.value_names)
        return [
            _answers_of(value, index_by_value, column, row)
            for row, value in enumerate(column.values, start=column.first_row)
        ]

    def collate(self, values: Sequence[Any], length: int | None, padding_side: str) -> Tensor:
        del length, padding_side
        # None, because Arrow writes NaN of a mapped column as null.
        rows = [[math.nan if each is None else each for each in value] for value in values]
        return torch.tensor(rows, dtype=torch.float)

    def missing(self, values: Sequence[Any]) -> list[list[float]]:
        return [[math.nan] * len(value) for value in values]

    def num_outputs(self, names: Sequence[str]) -> int:
        return len(names)

    def constant_logits(self, labels: Tensor, num_outputs: int) -> Tensor:
        del num_outputs
        # A class that nobody has an answer for is not there.
        return labels.double().nanmean(dim=0).nan_to_num(0.0) - 0.5

    def pairs(
        self, logits: Tensor, labels: Tensor
    ) -> tuple[list[frozenset[int]], list[frozenset[int]]]:
        known = labelled_mask(labels)
        rows = known.any(dim=-1)
        predicted = (logits > 0) & known
        return _sets(predicted[rows]), _sets((labels > 0.5)[rows])

    def answers(
        self, logits: Tensor, names: Sequence[str], words: RowWords | None = None
    ) -> list[list[dict[str, Any]]]:
        del words
        answers = []
        for row in logits.float().sigmoid().tolist():
            found = [
                {"label": name, "score": score}
                for name, score in zip(names, row, strict=True)
                if score > 0.5
            ]
            answers.append(sorted(found, key=lambda each: -each["score"]))
        return answers


def _is_vector(row: Any) -> bool:
    """Whether a row has an answer for each label, rather than names or ids."""
    return any(isinstance(each, bool | float) for each in row)


def _answers_of(
    value: Any, index_by_value: dict[Any, int], column: LabelColumn, row: int
) -> list[float]:
    """Answer for each label: 0, 1 or NaN."""
    num_labels = len(column.names)
    if is_missing(value):
        return [math.nan] * num_labels
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(
            f"The labels of task {column.task!r} must be a list, but row {row} has {value!r}. Give "
            f"the names of the row's classes, an empty list if it has none."
        )
    if _is_vector(value):
        return _vector(value, column, row)
    indices = [class_index(each, index_by_value, column, row) for each in value]
    if IGNORE_INDEX in indices or len(set(indices)) < len(indices):
        raise ValueError(
            f"The labels of task {column.task!r} must be distinct names or ids, but row {row} has "
            f"{list(value)}. If it is one answer for each label, turn it into floats or booleans."
        )
    return [float(index in indices) for index in range(num_labels)]


def _vector(value: Sequence[Any], column: LabelColumn, row: int) -> list[float]:
    answers = [math.nan if is_missing(each) else float(each) for each in value]
    is_right = all(math.isnan(each) or each in (0.0, 1.0) for each in answers)
    if not is_right or len(answers) != len(column.names):
        raise ValueError(
            f"The labels of task {column.task!r} must be an answer of 0 or 1 for each of its "
            f"{len(column.names)} labels, but row {row} has {list(value)}."
        )
    return answers


def _sets(is_there: Tensor) -> list[frozenset[int]]:
    """Classes that each row has: ``[B, C]``, bool."""
    return [frozenset(row.nonzero().flatten().tolist()) for row in is_there]
