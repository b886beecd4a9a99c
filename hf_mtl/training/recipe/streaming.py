# SPDX-License-Identifier: Apache-2.0
"""Data of a recipe that are streamed: rows to train on stay where they are, others are read."""

from collections.abc import Mapping
from typing import Any

from datasets import Dataset, IterableDataset, load_dataset

from hf_mtl._checks import check_known
from hf_mtl._numbers import check_positive

__all__ = ["check_streamed", "in_memory", "load_streams"]


def check_streamed(data: Mapping[str, Any], train_split: str) -> None:
    """Raises unless what a recipe says of streamed data can be done without reading them.

    Args:
        data: Arguments of ``datasets.load_dataset``, and those of a recipe beside them.
        train_split: Split to train on.

    Raises:
        TypeError: If ``max_examples`` of a split is no whole number.
        ValueError: If rows to train on are to be split or chosen from.
    """
    if isinstance(data.get("split"), Mapping):
        raise ValueError(
            f"`split` must be left out where `streaming` is true, because a stream is not read "
            f"ahead, but got {data['split']}. Put the rows to evaluate on into files of their "
            f"own, and name them under `data_files`."
        )
    max_examples = data.get("max_examples")
    if max_examples is None:
        return
    if not isinstance(max_examples, Mapping) or train_split in max_examples:
        raise ValueError(
            f"`max_examples` must name splits to evaluate on where `streaming` is true, such as "
            f"`max_examples: {{test: 1000}}`, but got {max_examples}. How long a run trains is "
            f"said by `max_steps`."
        )
    for name, count in max_examples.items():
        check_positive(f"max_examples of {name!r}", count, whole=True)


def load_streams(data: Mapping[str, Any]) -> dict[str, IterableDataset]:
    """Streams of one source by split.

    Args:
        data: Arguments of ``datasets.load_dataset``, and those of a recipe beside them.

    Raises:
        KeyError: If ``max_examples`` names a split that is not there.
    """
    arguments = dict(data)
    max_examples = arguments.pop("max_examples", None) or {}
    loaded = load_dataset(**arguments)
    streams = {"train": loaded} if isinstance(loaded, IterableDataset) else dict(loaded)
    for name in max_examples:
        check_known("split in `max_examples`", name, streams)
    return streams


def in_memory(stream: IterableDataset, max_examples: int | None = None) -> Dataset:
    """Rows of a stream, read.

    Args:
        stream: The stream.
        max_examples: How many of its first rows; ``None``: all.
    """
    rows = stream if max_examples is None else stream.take(max_examples)
    if stream.features is None:
        return Dataset.from_list(list(rows))
    # Pictures are written as they are: to decode them would mean to encode them again.
    return Dataset.from_list(list(rows.decode(False)), features=stream.features)
