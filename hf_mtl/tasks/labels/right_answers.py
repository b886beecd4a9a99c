# SPDX-License-Identifier: Apache-2.0
"""The right answers to a question, as a data set has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_mtl._numbers import is_position
from hf_mtl.tasks.labels.missing import is_missing
from hf_mtl.tasks.window import RowWindow

__all__ = ["RightAnswers", "right_answers"]


@dataclass(frozen=True)
class RightAnswers:
    """Right answers to one question.

    Args:
        texts: Their texts; none if there is no answer.
        tokens: The first and the last token of the first one, counted in the whole context.
    """

    texts: Sequence[str]
    tokens: tuple[int, int] | None


def right_answers(value: Any, window: RowWindow, task: str, row: int) -> RightAnswers | None:
    """Answers of one row; ``None`` if they are missing.

    Args:
        value: What the data set has, in the form of SQuAD.
        window: Any window of the row.
        task: Name of the task, for messages.
        row: Index of the row in the data set, for messages.

    Raises:
        ValueError: If it has another form, or an answer is not where it says.
    """
    if is_missing(value):
        return None
    if not isinstance(value, Mapping) or not {"text", "answer_start"} <= value.keys():
        raise ValueError(
            f"The answers of task {task!r} must be a mapping with `text` and `answer_start`, but "
            f"row {row} has {value!r}. Give empty lists where there is no answer, and None where "
            f"it is not known."
        )
    texts, starts = value["text"], value["answer_start"]
    # What `datasets` makes of None where other rows have a mapping.
    if texts is None and starts is None:
        return None
    if not _is_list(texts) or not _is_list(starts) or len(texts) != len(starts):
        raise ValueError(
            f"The answers of task {task!r} must be lists with as many texts as first characters, "
            f"but row {row} has {texts!r} and {starts!r}. Mend the row or remove it."
        )
    for text, start in zip(texts, starts, strict=True):
        _check_place(text, start, window.context, task, row)
    if not texts:
        return RightAnswers((), None)
    return RightAnswers(texts, _tokens(texts[0], starts[0], window, task, row))


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _check_place(text: Any, start: Any, context: str, task: str, row: int) -> None:
    is_place = isinstance(text, str) and bool(text) and is_position(start)
    found = context[start : start + len(text)] if is_place else None
    if found is None or found != text:
        there = "" if found is None else f", where the context has {found!r}"
        raise ValueError(
            f"The answers of task {task!r} must lie in their context, but row {row} has {text!r} "
            f"at character {start!r}{there}. Mend the row or remove it."
        )


def _tokens(text: str, start: int, window: RowWindow, task: str, row: int) -> tuple[int, int]:
    """The first and the last token of an answer in the whole context."""
    stop = start + len(text)
    covered = [
        token
        for token, (first, behind) in enumerate(window.spans)
        if first < behind and first < stop and start < behind
    ]
    if not covered:
        raise ValueError(
            f"The answers of task {task!r} must hold at least one token, but row {row} has "
            f"{text!r}, of which the tokenizer makes none. Remove the row."
        )
    return covered[0], covered[-1]
