# SPDX-License-Identifier: Apache-2.0
"""Whether data hold what their tasks need, before a row of them is read."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import ClassLabel, Dataset, IterableDataset

from hf_mtl._checks import UnknownNameError, nearest
from hf_mtl.tasks import Columns, TaskSpec

__all__ = [
    "check_column",
    "check_columns",
    "check_one_input",
    "column_names",
    "label_column_name",
    "role_values",
    "value_names",
]


def label_column_name(task: str) -> str:
    """Column of prepared rows that holds a task's encoded labels."""
    return f"labels:{task}"


def check_column(dataset: Dataset | Sequence[str], column: str, *, wanted_as: str) -> None:
    """Raises ``KeyError`` with the nearest name and all names unless the column is there.

    Args:
        dataset: The data, or the names of their columns.
        column: Name that the user gave, or that follows from what they gave.
        wanted_as: What the column is wanted for, for the message.

    Raises:
        KeyError: If the data have no such column.
    """
    names = _names_in(dataset)
    if column in names:
        return
    hint = nearest(column, names)
    raise UnknownNameError(
        f"{wanted_as} must be a column of the data, but {column!r} is none."
        + (f" Did you mean {hint!r}?" if hint else "")
        + f" Columns: {names}."
    )


def _names_in(dataset: Dataset | Sequence[str]) -> list[str]:
    return dataset.column_names if isinstance(dataset, Dataset) else list(dataset)


def check_columns(tasks: Mapping[str, TaskSpec], dataset: Dataset | Sequence[str]) -> None:
    """Raises unless the columns are there that the tasks of one source need.

    Args:
        tasks: The tasks.
        dataset: Rows of the source, or the names of their columns.

    Raises:
        KeyError: If a column is missing; the message offers the nearest one.
        ValueError: If a column may be a label, and the task was not told.
    """
    for task, spec in tasks.items():
        name_of = spec.task_type.role_name
        columns = {name_of(role): column for role, column in spec.input_columns().items()}
        role = spec.task_type.label_kind.role
        if spec.label_column is not None:
            columns[role] = spec.label_column
        elif role in _names_in(dataset):
            raise ValueError(
                f"`columns` of task {task!r} must say whether the column {role!r} of its rows is "
                f"its label. Write `columns: {{{role}: {role}}}`, or rename the column."
            )
        for role, given in columns.items():
            for column in column_names(given):
                check_column(dataset, column, wanted_as=f"`columns` of task {task!r}: {role!r}")


def column_names(columns: Columns) -> tuple[str, ...]:
    """Names of the columns of a role."""
    return (columns,) if isinstance(columns, str) else columns


def role_values(rows: Mapping[str, Sequence[Any]], columns: Columns) -> Sequence[Any]:
    """Values of a role: those of its column, or lists of what its columns hold.

    Args:
        rows: The rows, one sequence for each column.
        columns: What the role is told to be in.
    """
    if isinstance(columns, str):
        return rows[columns]
    return [list(row) for row in zip(*(rows[column] for column in columns), strict=True)]


def value_names(dataset: Dataset | IterableDataset, column: str) -> tuple[str, ...] | None:
    """Names of the ids in a column, in their order, where its feature is a ``ClassLabel``.

    A list of ``ClassLabel`` counts as well; ``None`` for every other column.
    """
    feature = (dataset.features or {}).get(column)
    feature = getattr(feature, "feature", feature)
    return tuple(feature.names) if isinstance(feature, ClassLabel) else None


def _in_words(entry: Mapping[str, Any]) -> str:
    """A kind of input by its name, with the fields that a type gives it."""
    fields = {name: value for name, value in entry.items() if name != "name"}
    return f"{entry['name']} ({fields})" if fields else str(entry["name"])


def check_one_input(source: str, tasks: Mapping[str, TaskSpec]) -> None:
    """Raises ``ValueError`` unless tasks read one input: on one source they share one forward.

    Args:
        source: Name of the source.
        tasks: The tasks on it.
    """
    first, *others = tasks
    for other in others:
        kinds = [_in_words(tasks[task].task_type.input_entry) for task in (first, other)]
        columns = [tasks[task].input_columns() for task in (first, other)]
        if kinds[0] != kinds[1] or columns[0] != columns[1]:
            raise ValueError(
                f"Tasks on source {source!r} must read the same input, but {first!r} reads "
                f"{kinds[0]} from {columns[0]} and {other!r} reads {kinds[1]} from {columns[1]}. "
                f"Give them the same columns, or sources of their own."
            )
