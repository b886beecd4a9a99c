# SPDX-License-Identifier: Apache-2.0
"""Prepared rows in a folder: one index, a few Arrow files, opened in no time.

``prepare`` finds encoded rows in the cache of ``datasets``, but asks it source by source, which
takes seconds for hundreds of sources. Here the rows of all sources of all splits lie in as few
files as there are kinds of columns, and ``prepared.json`` says where. The index is written last
and replaces the one before it in one act, so that the folder is whole at any time.
"""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

from datasets import Features

from hf_mtl._checks import check_same_names
from hf_mtl.data.collection import PreparedSource, SourceCollection
from hf_mtl.data.columns import label_column_name
from hf_mtl.data.encoding import encoding_version
from hf_mtl.data.processing_fingerprint import processing_fingerprint
from hf_mtl.data.stored_rows import RowsFile, RowsWriter, StoredRows, numbered_columns
from hf_mtl.tasks import TaskSpec, TaskSuite

__all__ = ["INDEX_FILE", "load_prepared", "prepared_details", "save_prepared"]

INDEX_FILE = "prepared.json"

# Raise this with every change of the index or of the files.
_FORMAT = 1
# What decides what rows become; the other fields of a task may change without preparing again.
_ENCODED_FIELDS = ("type", "options", "source", "columns", "labels", "max_length")

_AGAIN = "Prepare the data again."

_Splits = dict[str, dict[str, PreparedSource]]


def save_prepared(
    collections: Mapping[str, SourceCollection],
    folder: str | Path,
    *,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Writes the rows of some splits into one folder, from which ``load_prepared`` reads them.

    Prepared rows that the folder holds are replaced, all at once.

    Args:
        collections: Prepared rows by split, such as ``{"train": ..., "test": ...}``.
        folder: The folder; it is made if there is none.
        details: Plain values to keep with them.

    Raises:
        ValueError: If the folder holds other files, there are no rows, or a source is a stream.
    """
    folder = Path(folder)
    sources = _map_style(collections)
    _check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    old = set(folder.glob("*.arrow"))
    first = next(iter(collections.values()))
    tasks = {name: spec for rows in collections.values() for name, spec in rows.suite.items()}
    files, splits = _write_rows(sources, folder)
    index = {
        "version": _version(),
        "processing_class": processing_fingerprint(first.processing_class),
        "tasks": TaskSuite(tasks).to_list(),
        "files": files,
        "splits": splits,
        "details": dict(details or {}),
    }
    written = folder / f"{INDEX_FILE}.new"
    written.write_text(json.dumps(index, indent=1), encoding="utf-8")
    os.replace(written, folder / INDEX_FILE)
    for path in old:
        path.unlink()


def load_prepared(
    folder: str | Path, suite: TaskSuite, processing_class: Any
) -> dict[str, SourceCollection]:
    """Prepared rows by split; no row is read before its source is drawn.

    Weights, metrics, heads and batch sizes are those of ``suite``.

    Args:
        folder: What ``save_prepared`` wrote.
        suite: The tasks; label names that they lack are those that the rows were prepared with.
        processing_class: Tokenizer, image processor or processor that encoded the rows.

    Raises:
        FileNotFoundError: If the folder holds no prepared rows.
        ValueError: If they were prepared for other tasks, labels, columns, with another processing
            class, or by another version, or if a file is incomplete.
    """
    folder = Path(folder)
    index = _read_index(folder)
    suite = _matching_suite(folder, TaskSuite.from_list(index["tasks"]), suite)
    if index["processing_class"] != processing_fingerprint(processing_class):
        raise ValueError(
            f"`prepared` must be encoded with the tokenizer or image processor at hand, a "
            f"{type(processing_class).__name__}, but {str(folder)!r} was with another one, or "
            f"with other settings. {_AGAIN}"
        )
    files = [_opened(folder, entry) for entry in index["files"]]
    return {
        split: _collection(entries, files, suite, processing_class)
        for split, entries in index["splits"].items()
    }


def prepared_details(folder: str | Path) -> dict[str, Any]:
    """What ``save_prepared`` was given as ``details``.

    Raises:
        FileNotFoundError: If the folder holds no prepared rows.
        ValueError: If another version wrote them.
    """
    details: dict[str, Any] = _read_index(Path(folder))["details"]
    return details


def _map_style(collections: Mapping[str, SourceCollection]) -> _Splits:
    """Sources of each split, none of which is a stream."""
    if not collections:
        raise ValueError("`collections` must hold at least one split, but got none.")
    splits: _Splits = {}
    for split, rows in collections.items():
        splits[split] = {
            name: source
            for name, source in rows.sources.items()
            if isinstance(source, PreparedSource)
        }
        if streams := [name for name in rows.sources if name not in splits[split]]:
            raise ValueError(
                f"`collections` must hold no streams, which are never prepared as a whole, but "
                f"{split!r} has {streams}. Leave `streaming` out to prepare them."
            )
    return splits


def _check_folder(folder: Path) -> None:
    """Raises unless a folder is new, empty, or one that was written here."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / INDEX_FILE).exists():
        raise ValueError(
            f"`folder` must be new, empty, or hold prepared data, but {str(folder)!r} holds other "
            f"files. Choose another one."
        )


def _write_rows(
    splits: _Splits, folder: Path
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Writes all rows; the entries of the files, and of the sources of each split."""
    # New names, because the files that the index names until the end must stay.
    prefix = f"rows-{uuid4().hex[:8]}"
    writers: dict[str, RowsWriter] = {}
    entries: dict[int, dict[str, Any]] = {}
    with ExitStack() as stack:
        for source in (source for sources in splits.values() for source in sources.values()):
            # Rows that serve two splits are written once.
            if id(source.dataset) in entries:
                continue
            rows = source.dataset.select_columns(_columns(source.input_columns, source.tasks))
            columns = numbered_columns(rows.features)
            kinds = repr(columns)
            if kinds not in writers:
                path = folder / f"{prefix}-{len(writers)}.arrow"
                writers[kinds] = writer = RowsWriter(path, columns)
                stack.callback(writer.close)
            first, count = writers[kinds].add(rows)
            entries[id(source.dataset)] = {
                "file": list(writers).index(kinds),
                "first_batch": first,
                "num_batches": count,
                "num_rows": source.num_rows,
                "inputs": source.input_columns,
            }
    files = [_file_entry(writer) for writer in writers.values()]
    return files, {
        split: {name: entries[id(source.dataset)] for name, source in sources.items()}
        for split, sources in splits.items()
    }


def _columns(inputs: list[str], tasks: tuple[str, ...]) -> list[str]:
    return [*inputs, *map(label_column_name, tasks)]


def _file_entry(writer: RowsWriter) -> dict[str, Any]:
    return {
        "name": writer.path.name,
        "bytes": writer.path.stat().st_size,
        "features": writer.features.to_dict(),
    }


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"`prepared` must be a folder that `hf-mtl prepare` or `save_prepared` wrote, but "
            f"there is no {INDEX_FILE} in {str(folder)!r}."
        )
    index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    found = index.get("version")
    if found != _version():
        raise ValueError(
            f"`prepared` must be written by this version of hf_mtl, {_version()}, but "
            f"{str(folder)!r} is of {found}. {_AGAIN}"
        )
    return index


def _version() -> dict[str, Any]:
    """What rows become and how they are written depends on this."""
    release, encoding = encoding_version()
    return {"format": _FORMAT, "encoding": encoding, "release": release}


def _matching_suite(folder: Path, prepared: TaskSuite, suite: TaskSuite) -> TaskSuite:
    """The suite with the label names of the prepared rows, if those are of the same tasks."""
    check_same_names("prepared", prepared, suite, "task")
    found: dict[str, TaskSpec] = {}
    for task, spec in suite.items():
        was = prepared[task]
        found[task] = spec.replace(labels=was.labels) if spec.needs_labels else spec
        for field in _ENCODED_FIELDS:
            before, now = _encoded_value(was, field), _encoded_value(found[task], field)
            if before != now:
                raise ValueError(
                    f"`prepared` must be of the tasks at hand, but in {str(folder)!r} the "
                    f"`{field}` of task {task!r} is {_plain(before)}, not {_plain(now)}. {_AGAIN}"
                )
    return TaskSuite(found)


def _encoded_value(spec: TaskSpec, field: str) -> Any:
    """A field of a task; of its options those of the input, because others decide on answers."""
    return spec.task_type.input_fields() if field == "options" else getattr(spec, field)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _opened(folder: Path, entry: Mapping[str, Any]) -> RowsFile:
    """One file, found to be whole; its rows are not read."""
    path = folder / entry["name"]
    size = path.stat().st_size if path.is_file() else 0
    if size != entry["bytes"]:
        raise ValueError(
            f"`prepared` must hold whole files, but {str(path)!r} has {size} of "
            f"{entry['bytes']} bytes. {_AGAIN}"
        )
    return RowsFile(path.absolute(), Features.from_dict(entry["features"]))


def _collection(
    entries: Mapping[str, Mapping[str, Any]],
    files: list[RowsFile],
    suite: TaskSuite,
    processing_class: Any,
) -> SourceCollection:
    sources = {}
    for name, tasks in suite.sources.items():
        if name not in entries:
            continue
        entry = entries[name]
        rows = StoredRows(
            files[entry["file"]],
            first_batch=entry["first_batch"],
            num_batches=entry["num_batches"],
            num_rows=entry["num_rows"],
            column_names=_columns(entry["inputs"], tasks),
        )
        sources[name] = PreparedSource(name, tasks, rows, suite[tasks[0]].batch_size)
    return SourceCollection(
        suite.subset(task for task in suite if suite.source_of(task) in sources),
        sources,
        processing_class,
    )
