# SPDX-License-Identifier: Apache-2.0
"""From a class as a data set writes it to the index of its name."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from hf_mtl._checks import nearest
from hf_mtl.tasks.labels.column import LabelColumn
from hf_mtl.tasks.labels.missing import IGNORE_INDEX, is_missing, labelled_mask

__all__ = [
    "class_index",
    "class_indices",
    "distinct_names",
    "encode_classes",
    "is_number",
    "majority_logits",
]

# Label of every row of the test sets of GLUE and others, on the Hub.
_HIDDEN = -1


def _name(value: Any) -> str:
    """Name of a class that was found in data; whole numbers are written without a point."""
    return str(_as_whole(value))


def _as_whole(value: Any) -> Any:
    """Whole numbers as integers: a column of ids with gaps is read as floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _sort_key(name: str) -> tuple[int, float, str]:
    """Numbers by size and before words, words by letters."""
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)


def is_number(name: str) -> bool:
    """Whether the name of a class is that of a finite number."""
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def distinct_names(values: Iterable[Any]) -> tuple[str, ...]:
    """Names of the classes that occur, sorted; missing labels are left out."""
    distinct = {_name(value) for value in values if not is_missing(value)}
    return tuple(sorted(distinct, key=_sort_key))


def class_indices(names: Sequence[str], value_names: Sequence[str] | None) -> dict[Any, int]:
    """Index of every value that a column may hold.

    Strings are names. Integers are ids of ``value_names`` if the column has such; else they are
    names where all names are numbers ("1" to "5"), and ids of ``names`` otherwise.

    Args:
        names: The task's label names.
        value_names: Names of the column's ids, where the column knows them.
    """
    index_by_name = {name: index for index, name in enumerate(names)}
    index_by_value: dict[Any, int] = dict(index_by_name)
    if value_names is not None:
        ids = {
            value: index_by_name[name]
            for value, name in enumerate(value_names)
            if name in index_by_name
        }
    elif all(is_number(name) for name in names):
        # 1.0 of the labels 1, 1.5 and 2 is "1", not the name in place 1.
        ids = {
            int(float(name)): index
            for name, index in index_by_name.items()
            if float(name).is_integer()
        }
    else:
        ids = {index: index for index in range(len(names))}
    return index_by_value | ids


def encode_classes(column: LabelColumn) -> list[int]:
    """Index of the class of each row, ``IGNORE_INDEX`` where it is missing.

    Args:
        column: A column with one class a row, by name or by id.

    Raises:
        ValueError: If a value is none of the task's labels.
    """
    index_by_value = class_indices(column.names, column.value_names)
    return [
        class_index(value, index_by_value, column, row)
        for row, value in enumerate(column.values, start=column.first_row)
    ]


def majority_logits(labels: Tensor, num_outputs: int) -> Tensor:
    """Logits ``[C]`` for the most frequent class; of those that are equally frequent, the first."""
    known = labels[labelled_mask(labels)]
    return one_hot(torch.bincount(known).argmax(), num_outputs).double()


def class_index(value: Any, index_by_value: dict[Any, int], column: LabelColumn, row: int) -> int:
    """Index of one class, ``IGNORE_INDEX`` if it is missing.

    Args:
        value: The class, as the data set has it.
        index_by_value: What ``class_indices`` gave.
        column: The column that it is in.
        row: Index of its row in the data set, for the message.

    Raises:
        ValueError: If the value is none of the task's labels.
    """
    if is_missing(value):
        return IGNORE_INDEX
    index = index_by_value.get(_key(value))
    if index is not None:
        return index
    raise ValueError(_unknown_label(_as_whole(value), column, row))


def _key(value: Any) -> str | int:
    """A value as labels are looked up: whole numbers may be ids, all else goes by its name."""
    # True is 1 for Python, but its name in a set of labels is "True".
    is_id = isinstance(whole := _as_whole(value), int) and not isinstance(value, bool)
    return whole if is_id else _name(value)


def _unknown_label(value: Any, column: LabelColumn, row: int) -> str:
    names, ids = column.names, column.value_names or ()
    is_named_id = isinstance(value, int) and 0 <= value < len(ids)
    found = f"{ids[value]!r} (id {value} of its column)" if is_named_id else repr(value)
    word = ids[value] if is_named_id else value
    hint = nearest(word, names) if isinstance(word, str) else None
    suggestion = f" Did you mean {hint!r}?" if hint else ""
    shown = list(names) if len(names) <= 20 else [*names[:20], f"... {len(names)} in all"]
    advice = (
        "On the Hub, -1 is the label of test sets whose labels are hidden: turn it into None, or "
        "remove the rows."
        if value == _HIDDEN
        else "Declare it in `labels`, or mark a missing label as None."
    )
    return (
        f"`labels` of task {column.task!r} must hold every label of its data, but row {row} has "
        f"{found}.{suggestion} Labels: {shown}. {advice}"
    )
