# SPDX-License-Identifier: Apache-2.0
"""Inputs of ``hf-mtl predict``: from the command line, a file or standard input."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_mtl._optional import require

if TYPE_CHECKING:
    from hf_mtl.tasks import TaskSpec

__all__ = ["EMPTY_LINE", "batches_of", "given_inputs", "raw_reader"]

EMPTY_LINE: Any = object()
"""Stands for a line without an input, so that answers still match lines."""


def given_inputs(texts: Sequence[str], file: str | None) -> Iterator[Any]:
    """Inputs as the user wrote them: texts, or what lines of JSON hold.

    Lines are JSON in a ``.jsonl`` file, and on standard input where every one starts with ``{``.
    A line without an input is ``EMPTY_LINE``.

    Args:
        texts: Inputs on the command line.
        file: File with an input on each line; ``"-"``: standard input. ``None`` without texts:
            standard input too, unless that is a terminal.

    Raises:
        ValueError: If inputs are given twice or not at all, or a line is no JSON.
        OSError: If the file cannot be read.
    """
    if texts and file is not None:
        raise ValueError("Inputs must be texts or come from `--file`, but both are given.")
    if texts:
        yield from texts
    elif file not in (None, "-"):
        yield from _lines_of(Path(str(file)))
    elif file is None and sys.stdin.isatty():
        raise ValueError(
            "There must be at least one input. Give a text, `--file FILE`, or pipe lines in."
        )
    else:
        yield from _lines_of_standard_input()


def raw_reader(specs: Iterable["TaskSpec"]) -> Callable[[Any], Any]:
    """Function from an input as the user wrote it to what ``MultiTaskModel.predict`` takes.

    Where tasks take pictures and none takes text, a text is the name of a picture file.

    Args:
        specs: The tasks to answer.
    """
    kinds = [spec.task_type.input_kind for spec in specs]
    takes_files = any("image" in kind.roles for kind in kinds)

    def read(value: Any) -> Any:
        is_file = takes_files and isinstance(value, str)
        if not is_file or any(kind.accepts(value) for kind in kinds):
            # `predict` takes a list for several inputs, so a list of words goes as a tuple.
            return tuple(value) if isinstance(value, list) else value
        return require("PIL.Image", extra="vision").open(value)

    return read


def batches_of(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The values in lists of ``size``, the last one shorter."""
    values = iter(values)
    while batch := list(islice(values, size)):
        yield batch


def _lines_of(path: Path) -> Iterator[Any]:
    if not path.exists():
        raise FileNotFoundError(f"`--file` must be a file, but there is none called {str(path)!r}.")
    if path.is_dir():
        raise IsADirectoryError(f"`--file` must be a file, but {str(path)!r} is a folder.")
    with path.open(encoding="utf-8") as lines:
        yield from _values(lines, str(path)) if path.suffix == ".jsonl" else _texts(lines)


def _lines_of_standard_input() -> Iterator[Any]:
    """Texts as they come, or the values of JSON lines, for which all must be seen first."""
    start: list[str] = []
    for line in sys.stdin:
        start.append(line)
        if line.strip():
            break
    if not start or not _is_object(start[-1]):
        yield from _texts(chain(start, sys.stdin))
        return
    lines = [*start, *sys.stdin]
    are_json = all(_is_object(line) for line in lines if line.strip())
    yield from _values(lines, "standard input") if are_json else _texts(lines)


def _is_object(line: str) -> bool:
    return line.lstrip().startswith("{")


def _texts(lines: Iterable[str]) -> Iterator[Any]:
    return (line.rstrip("\r\n") if line.strip() else EMPTY_LINE for line in lines)


def _values(lines: Iterable[str], place: str) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        yield _value(line, f"{place}, line {number}") if line.strip() else EMPTY_LINE


def _value(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not valid JSON: {error.msg}.") from error
