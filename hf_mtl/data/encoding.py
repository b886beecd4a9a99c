# SPDX-License-Identifier: Apache-2.0
"""What the rows of a source become: model inputs, and a label for each task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from typing import Any

from datasets import Dataset, IterableDataset

from hf_mtl.data.columns import column_names, label_column_name, role_values, value_names
from hf_mtl.tasks import (
    Columns,
    InputKind,
    LabelColumn,
    LabelKind,
    RowWindow,
    RowWords,
    TaskSpec,
    WrongRowError,
    split_words,
)

__all__ = ["RowEncoding", "encode_labels", "encode_rows", "encoding_version", "row_encoding"]

# `datasets` knows functions of packages by their names: what they do may change behind its back.
# Raise this with every change of what rows become; a release changes the key by itself.
_ENCODING = 1


@dataclass(frozen=True)
class _TaskLabels:
    """Where the labels of a task come from and how they are encoded."""

    task: str
    kind: LabelKind
    column: str | None
    names: tuple[str, ...]
    value_names: tuple[str, ...] | None


@dataclass(frozen=True)
class RowEncoding:
    """All that decides what a source's rows become, and nothing else: the cache's key.

    Args:
        kind: Kind of the input.
        input_columns: Column of each role of the input, or columns of its lists.
        max_length: Positions after which an input is cut off.
        labels: Where the labels of each task come from.
        version: Release of this package and number of the encoding.
    """

    kind: InputKind
    input_columns: Mapping[str, Columns]
    max_length: int | None
    labels: tuple[_TaskLabels, ...]
    version: tuple[str | None, int]

    @property
    def with_words(self) -> bool:
        """Whether features have to be traced back to words."""
        return any(item.kind.needs_words for item in self.labels)

    @property
    def raw_inputs(self) -> list[str]:
        """Columns that the inputs come from."""
        given = self.input_columns.values()
        return list(dict.fromkeys(chain.from_iterable(map(column_names, given))))

    @property
    def raw_labels(self) -> list[str]:
        """Columns that the labels come from."""
        return list(dict.fromkeys(item.column for item in self.labels if item.column is not None))


def row_encoding(tasks: Mapping[str, TaskSpec], dataset: Dataset | IterableDataset) -> RowEncoding:
    """Encoding of the rows of one source.

    Args:
        tasks: The tasks on it, with their label names known.
        dataset: Its rows, of which only the features are looked at.

    Raises:
        ValueError: If label names are not known.
    """
    first = next(iter(tasks.values()))
    labels = []
    for task, spec in tasks.items():
        kind = spec.task_type.label_kind
        names = spec.known_labels(task) if kind.has_names else ()
        column = spec.label_column
        known = None if column is None else value_names(dataset, column)
        labels.append(_TaskLabels(task, kind, column, names, known))
    return RowEncoding(
        kind=first.task_type.input_kind,
        input_columns=first.input_columns(),
        max_length=first.max_length,
        labels=tuple(labels),
        version=encoding_version(),
    )


def encode_rows(
    rows: Mapping[str, Sequence[Any]],
    indices: Sequence[int],
    *,
    encoding: RowEncoding,
    processing_class: Any,
) -> dict[str, list[Any]]:
    """Model inputs of some rows, with the labels of each task in the column ``labels:{task}``.

    They are as many as the rows, or as the windows that these were cut into.

    Args:
        rows: The rows as they were read, one sequence for each column.
        indices: Index of each row in its data set, for messages.
        encoding: What they become.
        processing_class: Tokenizer, image processor, or a processor that holds one.

    Raises:
        ValueError: If a row is wrong; its index in the data set is said.
    """
    columns = {role: role_values(rows, given) for role, given in encoding.input_columns.items()}
    try:
        features = encoding.kind.encode(
            columns,
            processing_class,
            max_length=encoding.max_length,
            with_words=encoding.with_words,
        )
    except WrongRowError as error:
        raise error.counted_from(indices[0]) from None
    words = None
    if encoding.with_words:
        texts = [split_words(text) for text in columns["text"]]
        words = RowWords(texts, features.pop("word_ids"))
    windows = features.pop("windows", None)
    return features | encode_labels(
        rows, indices, encoding=encoding, words=words, windows=windows, inputs=columns
    )


def encode_labels(
    rows: Mapping[str, Sequence[Any]],
    indices: Sequence[int],
    *,
    encoding: RowEncoding,
    words: RowWords | None = None,
    windows: Sequence[RowWindow] | None = None,
    inputs: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, list[Any]]:
    """Labels of some rows, in a column ``labels:{task}`` for each task.

    Args:
        rows: The rows as they were read, one sequence for each column.
        indices: Index of each row in its data set, for messages.
        encoding: What they become.
        words: Words of the rows, for kinds of label that need them.
        windows: The windows that the rows were cut into, where their input makes such; labels are
            then one a window.
        inputs: Raw inputs of the rows by role, where they are encoded together.
    """
    num_rows = len(next(iter(rows.values())))
    return {
        label_column_name(item.task): item.kind.encode(
            LabelColumn(
                [item.kind.default] * num_rows if item.column is None else rows[item.column],
                item.task,
                item.names,
                value_names=item.value_names,
                words=words,
                windows=windows,
                inputs=inputs,
                first_row=indices[0],
            )
        )
        for item in encoding.labels
    }


def encoding_version() -> tuple[str | None, int]:
    """What the form of encoded rows depends on: release of this package, and form of its rows."""
    return _release(), _ENCODING


def _release() -> str | None:
    """Version of this package; ``None`` where it is run without being installed."""
    try:
        return version("hf_mtl")
    except PackageNotFoundError:
        return None
