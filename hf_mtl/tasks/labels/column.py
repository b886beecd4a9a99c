# SPDX-License-Identifier: Apache-2.0
"""Labels of some rows as a data set has them, with what is needed to read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_mtl.tasks.window import RowWindow

__all__ = ["LabelColumn", "RowWords"]


@dataclass(frozen=True)
class RowWords:
    """Words of some rows, and where they are in the features.

    Args:
        words: Words of each row.
        word_ids: For each position of each row the index of the word that it is a part of, or
            ``None``.
    """

    words: Sequence[Sequence[str]]
    word_ids: Sequence[Sequence[int | None]]


@dataclass(frozen=True)
class LabelColumn:
    """Labels of some rows, not yet encoded.

    Args:
        values: One label a row; ``None``, NaN and ``IGNORE_INDEX`` stand for a missing one.
        task: Name of the task, for messages.
        names: Label names of the task, in the order of their ids; none for numbers.
        value_names: Names of the column's own ids, where the column knows them; they may be in
            another order than the task's.
        words: Words of the rows, for kinds that need words.
        windows: The windows that the rows were cut into, where their input makes such.
        inputs: The rows' raw inputs, one sequence for each role, where they are encoded together.
        first_row: Index of the first of these rows in the data set, for messages.
    """

    values: Sequence[Any]
    task: str
    names: tuple[str, ...] = ()
    value_names: Sequence[str] | None = None
    words: RowWords | None = None
    windows: Sequence[RowWindow] | None = None
    inputs: Mapping[str, Sequence[Any]] | None = None
    first_row: int = 0
