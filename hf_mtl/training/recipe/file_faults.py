# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a data file that could not be read, in the user's words."""

import glob
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

__all__ = ["faults_of_files"]

_TEXT_FILES = frozenset({".csv", ".json", ".jsonl", ".tsv", ".txt"})


def faults_of_files(data: Mapping[str, Any]) -> list[str]:
    """What is wrong with the local text files of a source: empty, without rows, or no JSON.

    Args:
        data: Arguments of ``datasets.load_dataset``, local files as absolute paths.
    """
    faults = ((path, _fault(path, data.get("path"))) for path in _files(data.get("data_files")))
    return [f"{str(path)!r} {fault}" for path, fault in faults if fault is not None]


def _files(entry: Any) -> Iterator[Path]:
    if isinstance(entry, Mapping):
        entry = list(entry.values())
    if isinstance(entry, list):
        for part in entry:
            yield from _files(part)
    elif isinstance(entry, str) and "://" not in entry:
        names = [entry] if Path(entry).exists() else sorted(glob.glob(entry, recursive=True))
        yield from (path for path in map(Path, names) if path.suffix in _TEXT_FILES)


def _fault(path: Path, file_format: Any) -> str | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as lines:
        filled = list(islice((line for line in lines if line.strip()), 2))
    if not filled:
        return "is empty"
    if file_format == "csv":
        return "has a header but no rows" if len(filled) == 1 else None
    number = _line_that_is_no_json(path) if file_format == "json" else None
    return None if number is None else f"is not valid JSON at line {number}"


def _line_that_is_no_json(path: Path) -> int | None:
    """Number of the first wrong line, counted from 1, of JSON lines or of a whole document."""
    if path.suffix != ".jsonl":
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            if text.lstrip().startswith("["):
                return error.lineno
        else:
            return None
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip():
                    json.loads(line)
            except json.JSONDecodeError:
                return number
    return None
