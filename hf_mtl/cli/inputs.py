# SPDX-License-Identifier: Apache-2.0
"""Inputs of ``hf-mtl predict``: from the command line, a file or standard input."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_mtl._optional import require

if TYPE_CHECKING:
    from hf_mtl.tasks import TaskSpec

__all__ = ["batches_of", "given_inputs", "raw_reader"]


def given_inputs(texts: Sequence[str], file: str | None) -> Iterator[Any]:
    """Inputs as the user wrote them: texts, or what the lines of a ``.jsonl`` file hold.

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
        yield from _without_blank(sys.stdin)


def raw_reader(specs: Iterable["TaskSpec"]) -> Callable[[Any], Any]:
    """Function from an input as the user wrote it to what ``MultiTaskModel.predict`` takes.

    Where no task takes text, a text is the name of a picture file.

    Args:
        specs: The tasks to answer.
    """
    kinds = [spec.task_type.input_kind for spec in specs]

    def read(value: Any) -> Any:
        if not isinstance(value, str) or any(kind.accepts(value) for kind in kinds):
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
    with path.open(encoding="utf-8") as lines:
        if path.suffix != ".jsonl":
            yield from _without_blank(lines)
            return
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _value(line, f"{path}, line {number}")


def _without_blank(lines: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in lines if line.strip())


def _value(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not valid JSON: {error.msg}.") from error
