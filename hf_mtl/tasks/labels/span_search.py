# SPDX-License-Identifier: Apache-2.0
"""From logits of first and last positions to the answers of a question, over all its windows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["WindowSpans", "WindowTrace", "best_answers", "window_spans"]

# Stretches that share the probability; as many as the scripts of BERT and of SQuAD keep.
_KEPT = 20


@dataclass(frozen=True)
class WindowTrace:
    """What the positions of one window stand for.

    Args:
        row: Index of its row in the data set.
        null: Position that stands for "not here".
        first: Position of the first token of the context.
        spans: Characters of the tokens of the context: the first, and the one after the last.
        origin: Character of the context at which ``text`` begins.
        text: The context as far as the tokens reach.
        answers: Right answers; none if there is none, or they are not known.
    """

    row: int
    null: int
    first: int
    spans: Sequence[tuple[int, int]]
    origin: int
    text: str
    answers: list[str]


@dataclass(frozen=True)
class WindowSpans:
    """The best stretches of one window.

    Args:
        row: Index of its row in the data set.
        null_score: Score of "not here".
        spans: Score, first character, character after the last, and text of each stretch.
    """

    row: int
    null_score: float
    spans: list[tuple[float, int, int, str]]


def window_spans(
    logits: Tensor, trace: WindowTrace, max_answer_length: int, n_best: int = 1
) -> WindowSpans:
    """The best stretches of one window; a score is the sum of two logits.

    Args:
        logits: ``[L, 2]``: of being the first, and the last position; on the CPU.
        trace: What the positions stand for.
        max_answer_length: Tokens of the longest stretch.
        n_best: How many are wanted at least.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    length = len(trace.spans)
    own = logits[trace.first : trace.first + length]
    spans = torch.tensor(trace.spans).view(-1, 2)
    is_text = (spans[:, 0] < spans[:, 1])[:, None]
    starts, ends = own.masked_fill(~is_text, -torch.inf).unbind(dim=-1)
    width = min(max_answer_length, length)
    # Row i: the positions from i on, as far as an answer may reach.
    reached = pad(ends, (0, width - 1), value=-torch.inf).unfold(0, width, 1)
    scores = (starts[:, None] + reached).flatten()
    best = scores.topk(min(max(_KEPT, n_best), len(scores)))
    found = []
    for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        if score > -math.inf:
            first, last = place // width, place // width + place % width
            found.append((score, *_text_of(trace, first, last)))
    return WindowSpans(trace.row, float(logits[trace.null].sum()), found)


def best_answers(
    windows: Sequence[WindowSpans], null_threshold: float, n_best: int
) -> list[dict[str, Any]]:
    """Answers to one question: first the one that is given, then the others by their score.

    Args:
        windows: All windows of its context.
        null_threshold: How far the score of "no answer" must be ahead of the best stretch's.
        n_best: How many are wanted at least.
    """
    # The answer is nowhere only if no window has it.
    null_score = min(window.null_score for window in windows)
    # Where windows overlap, a stretch is found twice.
    score_by_span: dict[tuple[int, int, str], float] = {}
    for window in windows:
        for score, *span in window.spans:
            key: Any = tuple(span)
            score_by_span[key] = max(score, score_by_span.get(key, -math.inf))
    ranked = sorted(score_by_span.items(), key=lambda item: (-item[1], item[0]))
    ranked = ranked[: max(_KEPT, n_best)]
    is_null = not ranked or null_score - ranked[0][1] >= null_threshold
    place = 0 if is_null else sum(score >= null_score for _, score in ranked) or 1
    scored: list[tuple[Any, float]] = [*ranked[:place], (None, null_score), *ranked[place:]]
    odds = torch.tensor([score for _, score in scored], dtype=torch.float64).softmax(0).tolist()
    return [_answer(span, score) for (span, _), score in zip(scored, odds, strict=True)]


def _answer(span: tuple[int, int, str] | None, score: float) -> dict[str, Any]:
    start, end, text = span or (None, None, None)
    return {"answer": text, "score": score, "start": start, "end": end}


def _text_of(trace: WindowTrace, first: int, last: int) -> tuple[int, int, str]:
    """Characters and text of some tokens, without white space that tokens have around words."""
    begin = trace.spans[first][0]
    text = trace.text[begin - trace.origin : trace.spans[last][1] - trace.origin]
    begin += len(text) - len(text.lstrip())
    return begin, begin + len(text.strip()), text.strip()
