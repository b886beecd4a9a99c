# SPDX-License-Identifier: Apache-2.0
"""One number a row."""

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from hf_mtl.tasks.labels.base import LABELS, LabelKind, ProblemType
from hf_mtl.tasks.labels.column import LabelColumn, RowWords
from hf_mtl.tasks.labels.missing import IGNORE_INDEX, is_missing, labelled_mask

__all__ = ["Score"]


@LABELS.register("score")
@final
class Score(LabelKind):
    """A real number for each row. It is missing where it is ``None`` or NaN."""

    has_names: ClassVar[bool] = False
    problem_type: ClassVar[ProblemType] = "regression"

    def names_from(self, values: Iterable[Any]) -> tuple[str, ...]:
        del values
        return ()

    def encode(self, column: LabelColumn) -> list[float]:
        return [
            _number(value, column.task, row)
            for row, value in enumerate(column.values, start=column.first_row)
        ]

    def collate(self, values: Sequence[Any], length: int | None, padding_side: str) -> Tensor:
        del length, padding_side
        # None, because Arrow writes NaN of a mapped column as null.
        numbers = [math.nan if value is None else value for value in values]
        return torch.tensor(numbers, dtype=torch.float)

    def missing(self, values: Sequence[Any]) -> list[float]:
        return [math.nan] * len(values)

    def num_outputs(self, names: Sequence[str]) -> int:
        del names
        return 1

    def constant_logits(self, labels: Tensor, num_outputs: int) -> Tensor:
        del num_outputs
        return labels.double().nanmean().reshape(1)

    def pairs(self, logits: Tensor, labels: Tensor) -> tuple[list[float], list[float]]:
        mask = labelled_mask(labels)
        return logits.squeeze(-1)[mask].float().tolist(), labels[mask].tolist()

    def answers(
        self, logits: Tensor, names: Sequence[str], words: RowWords | None = None
    ) -> list[float]:
        del names, words
        numbers: list[float] = logits.squeeze(-1).float().tolist()
        return numbers


def _number(value: Any, task: str, row: int) -> float:
    # A score may well be -100; only classes use that number for "missing".
    if is_missing(value) and value != IGNORE_INDEX:
        return math.nan
    if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(
        f"The label of task {task!r} must be a finite number, but row {row} has {value!r}. "
        f"Turn the column into numbers, or mark a missing label as None."
    )
