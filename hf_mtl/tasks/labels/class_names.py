# SPDX-License-Identifier: Apache-2.0
"""From a class as a data set writes it to the index of its name."""

from collections.abc import Iterable, Sequence
from typing import Any

from hf_mtl._checks import nearest
from hf_mtl.tasks.labels.column import LabelColumn
from hf_mtl.tasks.labels.missing import IGNORE_INDEX, is_missing

__all__ = ["class_index", "class_indices", "distinct_names"]


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


def distinct_names(values: Iterable[Any]) -> tuple[str, ...]:
    """Names of the classes that occur, sorted; missing labels are left out."""
    distinct = {_name(value) for value in values if not is_missing(value)}
    return tuple(sorted(distinct, key=_sort_key))


def class_indices(names: Sequence[str], value_names: Sequence[str] | None) -> dict[Any, int]:
    """Index of every value that a column may hold.

    Strings are names. Integers are ids of ``value_names`` if the column has such; else they are
    names where all names are whole numbers ("1" to "5"), and ids of ``names`` otherwise.

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
    elif all(name.lstrip("-").isdigit() for name in names):
        ids = {int(name): index for name, index in index_by_name.items()}
    else:
        ids = {index: index for index in range(len(names))}
    return index_by_value | ids


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
    # True is 1 for Python, but its name in a set of labels is "True".
    value = str(value) if isinstance(value, bool) else _as_whole(value)
    index = index_by_value.get(value) if isinstance(value, str | int) else None
    if index is not None:
        return index
    names = column.names
    shown = list(names) if len(names) <= 20 else [*names[:20], f"... {len(names)} in all"]
    hint = nearest(value, names) if isinstance(value, str) else None
    suggestion = f" Did you mean {hint!r}?" if hint else ""
    raise ValueError(
        f"`labels` of task {column.task!r} must hold every label of its data, but row {row} has "
        f"{value!r}.{suggestion} Labels: {shown}. Declare it in `labels`, or mark a missing "
        f"label as None."
    )
