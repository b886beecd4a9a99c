# SPDX-License-Identifier: Apache-2.0
"""Whether the rows of a source can be used at all, before one of them is encoded."""

from collections.abc import Mapping
from typing import Any

from datasets import Dataset, IterableDataset

from hf_mtl.data.columns import check_columns, check_one_input
from hf_mtl.data.streams.checks import check_stream
from hf_mtl.tasks import TaskSpec

__all__ = ["check_source"]


def check_source(source: str, tasks: Mapping[str, TaskSpec], dataset: Any, *, split: str) -> None:
    """Raises unless the rows of a source have the columns that its tasks need.

    Reads no row, or the first one of a stream, so it is fast on data of any size.

    Args:
        source: Name of the source.
        tasks: The tasks on it.
        dataset: Its rows.
        split: Word for these rows in messages, such as ``"train"``, the only one that may stream.

    Raises:
        KeyError: If a column is missing; the message offers the nearest one.
        TypeError: If ``dataset`` is no ``datasets.Dataset``, and no stream to train on.
        ValueError: If it is empty, or the tasks on it read different inputs.
    """
    name = f"`{split}_dataset` of source {source!r}"
    if isinstance(dataset, IterableDataset):
        columns = check_stream(name, dataset, is_train=split == "train")
        check_one_input(source, tasks)
        check_columns(tasks, columns)
        return
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"{name} must be a `datasets.Dataset`, but got {type(dataset).__name__}. A "
            f"`DatasetDict` holds one for each split."
        )
    if not dataset.num_rows:
        raise ValueError(f"{name} must have at least one row, but it is empty.")
    if dataset.format["type"] == "custom":
        raise ValueError(
            f"{name} must be without a transform, which would hide its columns. Apply it with "
            f"`dataset.map` first."
        )
    check_one_input(source, tasks)
    check_columns(tasks, dataset)
