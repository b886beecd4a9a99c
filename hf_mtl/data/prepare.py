# SPDX-License-Identifier: Apache-2.0
"""From raw rows to rows that can be batched: checked, encoded once, cached by ``datasets``."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, IterableDataset, concatenate_datasets

from hf_mtl._checks import check_same_names
from hf_mtl._numbers import check_positive
from hf_mtl.data.collection import PreparedSource, SourceCollection
from hf_mtl.data.columns import label_column_name
from hf_mtl.data.encoding import RowEncoding, encode_labels, encode_rows, row_encoding
from hf_mtl.data.labels import is_list
from hf_mtl.data.source_checks import check_source
from hf_mtl.data.streams import StreamSource
from hf_mtl.tasks import IGNORE_INDEX, TaskSpec, TaskSuite

__all__ = ["prepare"]


def prepare(
    suite: TaskSuite,
    datasets: Mapping[str, Dataset | IterableDataset],
    processing_class: Any,
    *,
    split: str = "train",
    num_proc: int | None = None,
    num_rows: Mapping[str, int] | None = None,
) -> SourceCollection:
    """Rows of every source, checked and encoded.

    A row that is too long for one pass may become several: then rows of the result are windows.

    Encoding runs through ``datasets.map``, which shows its progress and keeps the result: a
    second run with the same data, columns, labels and tokenizer finds it in its cache. Rows of a
    stream are encoded when they are drawn.

    Args:
        suite: The tasks, with their label names known.
        datasets: Raw rows of every source of the suite, by the source's name. To train on, some
            or all may be streams.
        processing_class: Tokenizer, image processor, or a processor that holds one.
        split: Word for these rows in messages and progress bars, such as ``"train"``.
        num_proc: Processes that encode; ``None``: this one.
        num_rows: Rows of streams, by source, where they are known: then an epoch has as many of
            them. What ``datasets`` says of a length is no help: it depends on its cache.

    Raises:
        KeyError: If a column is missing.
        TypeError: If the data or the processing class are of another kind than the tasks need.
        ValueError: If a source is missing or is none of the suite's, has no rows, holds a label
            that its task does not know, or has no label at all for a task; if a stream has rows
            that are cut into windows; or if ``num_rows`` is given for something else than a stream.
    """
    check_same_names(f"{split}_dataset", datasets, suite.sources, "source")
    _check_num_rows(num_rows or {}, datasets)
    tasks_by_source = {
        source: {task: suite[task] for task in tasks} for source, tasks in suite.sources.items()
    }
    encodings = {}
    for source, tasks in tasks_by_source.items():
        check_source(source, tasks, datasets[source], split=split)
        encodings[source] = encoding = row_encoding(tasks, datasets[source])
        encoding.kind.check(processing_class, with_words=encoding.with_words)
        _check_no_windows(source, datasets[source], encoding)
    prepared: dict[str, PreparedSource | StreamSource] = {}
    for source, encoding in encodings.items():
        tasks, dataset = tasks_by_source[source], datasets[source]
        (batch_size,) = {spec.batch_size for spec in tasks.values()}
        if isinstance(dataset, IterableDataset):
            prepared[source] = StreamSource(
                source,
                tuple(tasks),
                dataset,
                encoding=encoding,
                processing_class=processing_class,
                batch_size=batch_size,
                num_rows=(num_rows or {}).get(source),
            )
            continue
        encoded = _encoded(
            dataset,
            encoding,
            processing_class,
            description=f"{split} data of {source}",
            num_proc=num_proc,
        )
        _check_some_label(encoded, tasks, split)
        prepared[source] = PreparedSource(source, tuple(tasks), encoded, batch_size)
    return SourceCollection(suite, prepared, processing_class)


def _check_num_rows(num_rows: Mapping[str, int], datasets: Mapping[str, Any]) -> None:
    for source, count in num_rows.items():
        if not isinstance(datasets.get(source), IterableDataset):
            streams = [name for name in datasets if isinstance(datasets[name], IterableDataset)]
            raise ValueError(
                f"`num_rows` must be given for streams only, but {source!r} is none. Streams: "
                f"{streams}."
            )
        check_positive(f"num_rows of source {source!r}", count, whole=True)


def _check_no_windows(source: str, dataset: Any, encoding: RowEncoding) -> None:
    """Raises where rows of a stream would become several: its position counts rows."""
    if encoding.kind.makes_windows and isinstance(dataset, IterableDataset):
        tasks = [item.task for item in encoding.labels]
        raise ValueError(
            f"`train_dataset` of source {source!r} must be no stream for the tasks {tasks}, whose "
            f"rows are cut into windows, but it is one. Load it without `streaming`."
        )


def _encoded(
    dataset: Dataset,
    encoding: RowEncoding,
    processing_class: Any,
    *,
    description: str,
    num_proc: int | None,
) -> Dataset:
    inputs, labels = encoding.raw_inputs, encoding.raw_labels
    on_the_fly = encoding.kind.on_the_fly
    read = labels if on_the_fly else list(dict.fromkeys([*inputs, *labels]))
    rows = dataset.with_format(None)
    encoded = rows.select_columns(read).map(
        encode_labels if on_the_fly else encode_rows,
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


def _check_some_label(dataset: Dataset, tasks: Mapping[str, TaskSpec], split: str) -> None:
    for task, spec in tasks.items():
        labels = dataset.data.column(label_column_name(task))  # mapped rows lie in their own order
        if (field := spec.task_type.label_kind.stored_field) is not None:
            labels = pc.struct_field(labels, field)
        while is_list(labels):
            labels = pc.list_flatten(labels)
        is_score = pa.types.is_floating(labels.type)
        is_missing = (
            pc.is_null(labels, nan_is_null=True) if is_score else pc.equal(labels, IGNORE_INDEX)
        )
        if pc.all(is_missing, skip_nulls=False).as_py():
            raise ValueError(
                f"`{split}_dataset` must have at least one label for task {task!r}, but every row "
                f"of column {spec.label_column!r} is without. Check the column, or remove the "
                f"task."
            )
