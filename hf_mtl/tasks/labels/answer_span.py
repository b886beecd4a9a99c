# SPDX-License-Identifier: Apache-2.0
"""The stretch of a text that answers a question."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from hf_mtl._numbers import check_finite_number, check_positive
from hf_mtl.tasks.labels.base import LABELS, TracedLabelKind
from hf_mtl.tasks.labels.column import LabelColumn, RowWords
from hf_mtl.tasks.labels.missing import IGNORE_INDEX, labelled_mask
from hf_mtl.tasks.labels.right_answers import RightAnswers, right_answers
from hf_mtl.tasks.labels.span_search import WindowSpans, WindowTrace, best_answers, window_spans
from hf_mtl.tasks.window import RowWindow

__all__ = ["AnswerSpan"]


@LABELS.register("answer_span")
@final
@dataclass(frozen=True)
class AnswerSpan(TracedLabelKind):
    """Where in its context the answer to a question is, or that it is not there.

    A row holds ``{"text": [...], "answer_start": [...]}``: right answers, of which the first is
    learned, and their first characters; empty lists where there is none. ``None`` is missing.

    Labels are ``[B, L]``: at positions that an answer can have 0, plus 1 at its first and 2 at its
    last one, ``IGNORE_INDEX`` at all others. A window without the whole answer has it at the
    position that stands for "not here".

    Args:
        max_answer_length: Tokens of the longest answer that is given.
        null_threshold: How far the score of "no answer" must be ahead of the best stretch's.
        n_best: Answers to a new question.

    Raises:
        TypeError: If a value is of the wrong kind.
        ValueError: If a value is out of range.
    """

    role: ClassVar[str] = "answers"
    has_names: ClassVar[bool] = False
    per_token: ClassVar[bool] = True
    stored_field: ClassVar[str | None] = "start"

    max_answer_length: int = 30
    null_threshold: float = 0.0
    n_best: int = 1

    def __post_init__(self) -> None:
        check_positive("max_answer_length", self.max_answer_length, whole=True)
        check_finite_number("null_threshold", self.null_threshold)
        check_positive("n_best", self.n_best, whole=True)

    def names_from(self, values: Iterable[Any]) -> tuple[str, ...]:
        del values
        return ()

    def encode(self, column: LabelColumn) -> list[dict[str, Any]]:
        if column.windows is None:
            raise ValueError("`windows` must be given for answers in a text, but got None.")
        answers: dict[int, RightAnswers | None] = {}
        encoded = []
        for window in column.windows:
            if window.row not in answers:
                row = column.first_row + window.row
                value = column.values[window.row]
                answers[window.row] = right_answers(value, window, column.task, row)
            encoded.append(_stored(window, answers[window.row], column.first_row + window.row))
        return encoded

    def collate(self, values: Sequence[Any], length: int | None, padding_side: str) -> Tensor:
        width, shifts = _placed(values, length, padding_side)
        labels = torch.full((len(values), width), IGNORE_INDEX, dtype=torch.long)
        for row, value, shift in zip(labels, values, shifts, strict=True):
            if value["start"] == IGNORE_INDEX:
                continue
            own = row[shift:]
            spans = torch.tensor([value["starts"], value["ends"]])
            context = own[value["first"] : value["first"] + spans.shape[1]]
            context[spans[0] < spans[1]] = 0
            own[value["null"]] = 0
            own[value["start"]] += 1
            own[value["end"]] += 2
        return labels

    def missing(self, values: Sequence[Any]) -> list[dict[str, Any]]:
        return [{**value, "start": IGNORE_INDEX, "end": IGNORE_INDEX} for value in values]

    def num_outputs(self, names: Sequence[str]) -> int:
        del names
        return 2

    def output_names(self, names: Sequence[str]) -> tuple[str, ...]:
        del names
        return ("start", "end")

    def constant_logits(self, labels: Tensor, num_outputs: int) -> Tensor:
        # No position is better than another, and so there is no answer.
        del labels
        return torch.zeros(num_outputs, dtype=torch.float64)

    def traces(
        self, values: Sequence[Any], length: int | None, padding_side: str
    ) -> list[WindowTrace]:
        _, shifts = _placed(values, length, padding_side)
        return [
            WindowTrace(
                row=value["row"],
                null=value["null"] + shift,
                first=value["first"] + shift,
                spans=list(zip(value["starts"], value["ends"], strict=True)),
                origin=value["origin"],
                text=value["text"],
                answers=[text for text in value["answers"] if text],
            )
            for value, shift in zip(values, shifts, strict=True)
        ]

    def pairs(
        self, logits: Tensor, labels: Tensor, traces: Sequence[Any] | None = None
    ) -> tuple[list[WindowSpans], list[tuple[int, list[str]]]]:
        rows = labelled_mask(labels).any(dim=1).nonzero().flatten().tolist()
        given = _given(traces)
        return (
            [self._spans(logits[row], given[row]) for row in rows],
            [(given[row].row, given[row].answers) for row in rows],
        )

    def joined(
        self, predictions: Sequence[Any], references: Sequence[Any]
    ) -> tuple[list[list[str]], list[list[str]]]:
        right = dict(references)
        found = {row: answers[0]["answer"] for row, answers in self._by_row(predictions).items()}
        return [[text] if text else [] for text in found.values()], [right[row] for row in found]

    def answers(
        self,
        logits: Tensor,
        names: Sequence[str],
        words: RowWords | None = None,
        traces: Sequence[Any] | None = None,
    ) -> list[dict[str, Any]]:
        del names, words
        # One copy: each window is searched by itself.
        pairs = zip(logits.cpu(), _given(traces), strict=True)
        windows = [self._spans(*pair) for pair in pairs]
        found = self._by_row(windows).values()
        if self.n_best == 1:
            return [answers[0] for answers in found]
        return [{**answers[0], "n_best": answers[: self.n_best]} for answers in found]

    def _spans(self, logits: Tensor, trace: WindowTrace) -> WindowSpans:
        return window_spans(logits, trace, self.max_answer_length, self.n_best)

    def _by_row(self, windows: Sequence[WindowSpans]) -> dict[int, list[dict[str, Any]]]:
        """Answers of each row, the one that is given first; rows in the order of their windows."""
        by_row: dict[int, list[WindowSpans]] = {}
        for window in windows:
            by_row.setdefault(window.row, []).append(window)
        return {
            row: best_answers(own, self.null_threshold, self.n_best) for row, own in by_row.items()
        }


def _given(traces: Sequence[Any] | None) -> Sequence[Any]:
    if traces is None:
        raise ValueError("`traces` must be given for answers in a text, but got None.")
    return traces


def _placed(values: Sequence[Any], length: int | None, padding_side: str) -> tuple[int, list[int]]:
    """Padded length, and how far padding moves the positions of each window."""
    width = max((value["length"] for value in values), default=0) if length is None else length
    is_left = padding_side == "left"
    return width, [(width - value["length"]) * is_left for value in values]


def _stored(window: RowWindow, answers: RightAnswers | None, row: int) -> dict[str, Any]:
    """Label of one window, with all that it takes to find the text of an answer in it."""
    start = end = IGNORE_INDEX
    if answers is not None:
        start = end = window.null
        if answers.tokens is not None:
            first, last = answers.tokens
            if window.begin <= first and last < window.stop:
                start, end = (window.first + token - window.begin for token in answers.tokens)
    spans = window.spans[window.begin : window.stop]
    # Not simply the first and the last, because some tokens stand for no character.
    origin = min(first for first, _ in spans)
    return {
        "row": row,
        "start": start,
        "end": end,
        "null": window.null,
        "first": window.first,
        "length": window.length,
        "starts": [first for first, _ in spans],
        "ends": [behind for _, behind in spans],
        "origin": origin,
        "text": window.context[origin : max(behind for _, behind in spans)],
        # Not empty, because Arrow would not know the type of a first batch without any answer.
        "answers": list(answers.texts) if answers and answers.texts else [""],
    }
