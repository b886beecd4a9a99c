# SPDX-License-Identifier: Apache-2.0
"""Whether data hold what their tasks need, before a row of them is read."""

from collections.abc import Mapping
from typing import Any

from datasets import Dataset

from hf_mtl._checks import UnknownNameError, nearest
from hf_mtl.tasks import TaskSpec

__all__ = ["check_column", "check_source", "label_column_name"]


def label_column_name(task: str) -> str:
    """Column of prepared rows that holds a task's encoded labels."""
    return f"labels:{task}"


def check_column(dataset: Dataset, column: str, *, wanted_as: str) -> None:
    """Raises ``KeyError`` with the nearest name and all names unless the column is there.

    Args:
        dataset: The data.
        column: Name that the user gave, or that follows from what they gave.
        wanted_as: What the column is wanted for, for the message.

    Raises:
        KeyError: If the data have no such column.
    """
    if column in dataset.column_names:
        return
    hint = nearest(column, dataset.column_names)
    raise UnknownNameError(
        f"{wanted_as} must be a column of the data, but {column!r} is none."
        + (f" Did you mean {hint!r}?" if hint else "")
        + f" Columns: {dataset.column_names}."
    )


def check_source(source: str, tasks: Mapping[str, TaskSpec], dataset: Any, *, split: str) -> None:
    """Raises unless the rows of a source have the columns that its tasks need.

    Reads no row, so it is fast on data of any size.

    Args:
        source: Name of the source.
        tasks: The tasks on it.
        dataset: Its rows.
        split: Word for these rows in messages, such as ``"train"``.

    Raises:
        KeyError: If a column is missing; the message offers the nearest one.
        TypeError: If ``dataset`` is no ``datasets.Dataset``.
        ValueError: If it is empty, or the tasks on it read different inputs.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"`{split}_dataset` of source {source!r} must be a `datasets.Dataset`, but got "
            f"{type(dataset).__name__}. A `DatasetDict` holds one for each split."
        )
    if not dataset.num_rows:
        raise ValueError(
            f"`{split}_dataset` of source {source!r} must have at least one row, but it is empty."
        )
    if dataset.format["type"] == "custom":
        raise ValueError(
            f"`{split}_dataset` of source {source!r} must be without a transform, which would "
            f"hide its columns. Apply it with `dataset.map` first."
        )
    _check_one_input(source, tasks)
    for task, spec in tasks.items():
        name_of = spec.task_type.role_name
        columns = {name_of(role): column for role, column in spec.input_columns().items()}
        columns[spec.task_type.label_kind.role] = spec.label_column
        for role, column in columns.items():
            check_column(dataset, column, wanted_as=f"`columns` of task {task!r}: {role!r}")


def _check_one_input(source: str, tasks: Mapping[str, TaskSpec]) -> None:
    """Tasks on one source share one forward, so they have to read one input."""
    first, *others = tasks
    for other in others:
        kinds = [tasks[task].task_type.inputs for task in (first, other)]
        columns = [tasks[task].input_columns() for task in (first, other)]
        if kinds[0] != kinds[1] or columns[0] != columns[1]:
            raise ValueError(
                f"Tasks on source {source!r} must read the same input, but {first!r} reads "
                f"{kinds[0]} from {columns[0]} and {other!r} reads {kinds[1]} from {columns[1]}. "
                f"Give them the same columns, or sources of their own."
            )
