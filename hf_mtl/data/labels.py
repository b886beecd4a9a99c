# SPDX-License-Identifier: Apache-2.0
"""Label names that the user did not give, found in the training data."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, IterableDataset

from hf_mtl._checks import check_same_names
from hf_mtl.data.columns import value_names
from hf_mtl.data.source_checks import check_source
from hf_mtl.data.stored_rows import StoredRows
from hf_mtl.tasks import TaskSuite

__all__ = ["arrow_column", "find_labels", "is_list"]


def find_labels(suite: TaskSuite, datasets: Mapping[str, Dataset | IterableDataset]) -> TaskSuite:
    """The suite with label names for every task that needs them and has none.

    Names are those of the column's ``ClassLabel`` feature, in its order; else the values that
    occur, sorted. Tasks with names keep them. Rows of a stream are not looked at.

    Args:
        suite: The tasks.
        datasets: Training rows of every source that has such a task.

    Raises:
        KeyError: If a column is missing.
        ValueError: If a source is missing, a column has no label at all, or the names would have
            to be found in a stream.
    """
    specs = dict(suite)
    for task, spec in suite.items():
        if not spec.needs_labels:
            continue
        source = suite.source_of(task)
        if source not in datasets:
            check_same_names("train_dataset", datasets, suite.sources, "source")
        dataset = datasets[source]
        check_source(source, {task: spec}, dataset, split="train")
        column = spec.label_column
        assert column is not None, "kinds of label with names have no default"
        names = value_names(dataset, column)
        if names is None and isinstance(dataset, IterableDataset):
            raise ValueError(
                f"`labels` of task {task!r} must be given, because source {source!r} is a stream, "
                f"whose rows are not read ahead of training. Give them in `TaskSpec(labels=...)`, "
                f"or cast column {column!r} to a `ClassLabel`."
            )
        if names is None:
            values = _distinct(dataset, column)
            names = spec.task_type.label_kind.names_from(values)
        if not names:
            raise ValueError(
                f"The training data of task {task!r} must have labels, but every row of column "
                f"{column!r} is without. Check the column, or remove the task."
            )
        specs[task] = spec.replace(labels=names)
    return TaskSuite(specs)


def is_list(values: pa.ChunkedArray) -> bool:
    """Whether the entries of an Arrow column are lists."""
    return bool(pa.types.is_list(values.type) or pa.types.is_large_list(values.type))


def arrow_column(dataset: Dataset | StoredRows, column: str) -> pa.ChunkedArray:
    """One column as Arrow has it: whole, without an object for each value."""
    if isinstance(dataset, StoredRows):
        return dataset.arrow_column(column)
    return dataset.select_columns([column]).with_format("arrow")[:][column]


def _distinct(dataset: Dataset, column: str) -> list[Any]:
    """Values that occur in a column; of lists, one list of the values in them."""
    values = arrow_column(dataset, column)
    if is_list(values):
        return [pc.unique(pc.list_flatten(values)).to_pylist()]
    return list(pc.unique(values).to_pylist())
