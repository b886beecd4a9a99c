# SPDX-License-Identifier: Apache-2.0
"""Label names that the user did not give, found in the training data."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset

from hf_mtl._checks import check_same_names
from hf_mtl.data.columns import check_source
from hf_mtl.tasks import TaskSuite

__all__ = ["arrow_column", "find_labels", "is_list", "value_names"]


def value_names(dataset: Dataset, column: str) -> tuple[str, ...] | None:
    """Names of the ids in a column, in their order, where its feature is a ``ClassLabel``.

    A list of ``ClassLabel`` counts as well; ``None`` for every other column.
    """
    feature = dataset.features[column]
    feature = getattr(feature, "feature", feature)
    return tuple(feature.names) if isinstance(feature, ClassLabel) else None


def find_labels(suite: TaskSuite, datasets: Mapping[str, Dataset]) -> TaskSuite:
    """The suite with label names for every task that needs them and has none.

    Names are those of the column's ``ClassLabel`` feature, in its order; else the values that
    occur, sorted. Tasks with names keep them.

    Args:
        suite: The tasks.
        datasets: Training rows of every source that has such a task.

    Raises:
        KeyError: If a column is missing.
        ValueError: If a source is missing, or a column has no label at all.
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
        names = value_names(dataset, spec.label_column)
        if names is None:
            values = _distinct(dataset, spec.label_column)
            names = spec.task_type.label_kind.names_from(values)
        if not names:
            raise ValueError(
                f"The training data of task {task!r} must have labels, but every row of column "
                f"{spec.label_column!r} is without. Check the column, or remove the task."
            )
        specs[task] = spec.replace(labels=names)
    return TaskSuite(specs)


def is_list(values: pa.ChunkedArray) -> bool:
    """Whether the entries of an Arrow column are lists."""
    return bool(pa.types.is_list(values.type) or pa.types.is_large_list(values.type))


def arrow_column(dataset: Dataset, column: str) -> pa.ChunkedArray:
    """One column as Arrow has it: whole, without an object for each value."""
    return dataset.select_columns([column]).with_format("arrow")[:][column]


def _distinct(dataset: Dataset, column: str) -> list[Any]:
    """Values that occur in a column; of lists, one list of the values in them."""
    values = arrow_column(dataset, column)
    if is_list(values):
        return [pc.unique(pc.list_flatten(values)).to_pylist()]
    return list(pc.unique(values).to_pylist())
