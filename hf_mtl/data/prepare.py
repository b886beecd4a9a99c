# SPDX-License-Identifier: Apache-2.0
"""From raw rows to rows that can be batched: checked, encoded once, cached by ``datasets``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, concatenate_datasets

from hf_mtl._checks import check_same_names
from hf_mtl.data.collection import PreparedSource, SourceCollection
from hf_mtl.data.columns import check_source, label_column_name
from hf_mtl.data.labels import is_list, value_names
from hf_mtl.tasks import (
    IGNORE_INDEX,
    InputKind,
    LabelColumn,
    LabelKind,
    RowWords,
    TaskSpec,
    TaskSuite,
    split_words,
)

__all__ = ["prepare"]

# `datasets` knows functions of packages by their names: what they do may change behind its back.
# Raise this with every change of what rows become; a release changes the key by itself.
_ENCODING = 1


@dataclass(frozen=True)
class _TaskLabels:
    """Where the labels of a task come from and how they are encoded."""

    task: str
    kind: LabelKind
    column: str
    names: tuple[str, ...]
    value_names: tuple[str, ...] | None


@dataclass(frozen=True)
class _RowEncoding:
    """All that decides what a source's rows become, and nothing else: the cache's key."""

    kind: InputKind
    input_columns: Mapping[str, str]
    max_length: int | None
    labels: tuple[_TaskLabels, ...]
    version: tuple[str | None, int]

    @property
    def with_words(self) -> bool:
        return any(item.kind.needs_words for item in self.labels)


def prepare(
    suite: TaskSuite,
    datasets: Mapping[str, Dataset],
    processing_class: Any,
    *,
    split: str = "train",
    num_proc: int | None = None,
) -> SourceCollection:
    """Rows of every source, checked and encoded.

    Encoding runs through ``datasets.map``, which shows its progress and keeps the result: a
    second run with the same data, columns, labels and tokenizer finds it in its cache.

    Args:
        suite: The tasks, with their label names known.
        datasets: Raw rows of every source of the suite, by the source's name.
        processing_class: Tokenizer, image processor, or a processor that holds one.
        split: Word for these rows in messages and progress bars, such as ``"train"``.
        num_proc: Processes that encode; ``None``: this one.

    Raises:
        KeyError: If a column is missing.
        TypeError: If the data or the processing class are of another kind than the tasks need.
        ValueError: If a source is missing or is none of the suite's, has no rows, holds a label
            that its task does not know, or has no label at all for a task.
    """
    check_same_names(f"{split}_dataset", datasets, suite.sources, "source")
    tasks_by_source = {
        source: {task: suite[task] for task in tasks} for source, tasks in suite.sources.items()
    }
    encodings = {}
    for source, tasks in tasks_by_source.items():
        check_source(source, tasks, datasets[source], split=split)
        encodings[source] = encoding = _encoding(tasks, datasets[source])
        encoding.kind.check(processing_class, with_words=encoding.with_words)
    prepared = {}
    for source, encoding in encodings.items():
        dataset = _encoded(
            datasets[source],
            encoding,
            processing_class,
            description=f"{split} data of {source}",
            num_proc=num_proc,
        )
        tasks = tasks_by_source[source]
        for task, spec in tasks.items():
            _check_some_label(dataset, task, spec.label_column, split)
        (batch_size,) = {spec.batch_size for spec in tasks.values()}
        prepared[source] = PreparedSource(source, tuple(tasks), dataset, batch_size)
    return SourceCollection(suite, prepared, processing_class)


def _encoding(tasks: Mapping[str, TaskSpec], dataset: Dataset) -> _RowEncoding:
    first = next(iter(tasks.values()))
    labels = []
    for task, spec in tasks.items():
        kind = spec.task_type.label_kind
        names = spec.known_labels(task) if kind.has_names else ()
        column = spec.label_column
        labels.append(_TaskLabels(task, kind, column, names, value_names(dataset, column)))
    return _RowEncoding(
        kind=first.task_type.input_kind,
        input_columns=first.input_columns(),
        max_length=first.max_length,
        labels=tuple(labels),
        version=(_release(), _ENCODING),
    )


def _release() -> str | None:
    """Version of this package; ``None`` where it is run without being installed."""
    try:
        return version("hf_mtl")
    except PackageNotFoundError:
        return None


def _encoded(
    dataset: Dataset,
    encoding: _RowEncoding,
    processing_class: Any,
    *,
    description: str,
    num_proc: int | None,
) -> Dataset:
    inputs = list(dict.fromkeys(encoding.input_columns.values()))
    labels = list(dict.fromkeys(item.column for item in encoding.labels))
    on_the_fly = encoding.kind.on_the_fly
    read = labels if on_the_fly else list(dict.fromkeys([*inputs, *labels]))
    rows = dataset.with_format(None)
    encoded = rows.select_columns(read).map(
        _encode_labels if on_the_fly else _encode_rows,
        batched=True,
        with_indices=True,
        remove_columns=read,
        fn_kwargs={"encoding": encoding}
        if on_the_fly
        else {"encoding": encoding, "processing_class": processing_class},
        num_proc=num_proc,
        desc=description,
    )
    if not on_the_fly:
        return encoded
    # Mapping over raw inputs would write them a second time; labels are put beside them instead.
    return concatenate_datasets([rows.select_columns(inputs), encoded], axis=1)


def _encode_rows(
    rows: Mapping[str, Sequence[Any]],
    indices: Sequence[int],
    *,
    encoding: _RowEncoding,
    processing_class: Any,
) -> dict[str, list[Any]]:
    columns = {role: rows[column] for role, column in encoding.input_columns.items()}
    features = encoding.kind.encode(
        columns,
        processing_class,
        max_length=encoding.max_length,
        with_words=encoding.with_words,
    )
    words = None
    if encoding.with_words:
        texts = [split_words(text) for text in columns["text"]]
        words = RowWords(texts, features.pop("word_ids"))
    return features | _encode_labels(rows, indices, encoding=encoding, words=words)


def _encode_labels(
    rows: Mapping[str, Sequence[Any]],
    indices: Sequence[int],
    *,
    encoding: _RowEncoding,
    words: RowWords | None = None,
) -> dict[str, list[Any]]:
    return {
        label_column_name(item.task): item.kind.encode(
            LabelColumn(
                rows[item.column],
                item.task,
                item.names,
                value_names=item.value_names,
                words=words,
                first_row=indices[0],
            )
        )
        for item in encoding.labels
    }


def _check_some_label(dataset: Dataset, task: str, column: str, split: str) -> None:
    name = label_column_name(task)
    labels = dataset.data.column(name)  # mapped rows lie in their own order
    while is_list(labels):
        labels = pc.list_flatten(labels)
    is_score = pa.types.is_floating(labels.type)
    missing = pc.is_null(labels, nan_is_null=True) if is_score else pc.equal(labels, IGNORE_INDEX)
    if pc.all(missing, skip_nulls=False).as_py():
        raise ValueError(
            f"`{split}_dataset` must have at least one label for task {task!r}, but every row of "
            f"column {column!r} is without. Check the column, or remove the task."
        )
