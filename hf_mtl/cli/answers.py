# SPDX-License-Identifier: Apache-2.0
"""Answers of a model, as people read them."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["answers_view", "empty_line_view"]


def answers_view(given: Any, answers: Mapping[str, Any]) -> RenderableType:
    """One input and the answer of each task to it.

    Args:
        given: The input, as the user wrote it.
        answers: Answer of each task, as ``MultiTaskModel.predict`` gives it.
    """
    table = Table.grid(padding=(0, 2))
    for task, answer in answers.items():
        table.add_row(Text(f"  {task}", style="bold"), _in_words(answer))
    return Group(Text(_shown(given), style="italic"), table, Text(""))


def empty_line_view() -> RenderableType:
    """What stands in place of the answers to an empty line."""
    return Group(Text("(empty line)", style="dim"), Text(""))


def _shown(given: Any) -> str:
    if isinstance(given, Mapping):
        return " | ".join(map(_shown, given.values()))
    return " ".join(map(str, given)) if isinstance(given, list) else str(given)


def _in_words(answer: Any) -> Text:
    """A number, a label or a stretch of text with its score, or each word with its label."""
    if isinstance(answer, list):
        parts = [Text.assemble(item["word"], (f"/{item['label']}", "cyan")) for item in answer]
        return Text(" ").join(parts)
    if isinstance(answer, Mapping):
        word = answer["answer"] or "(no answer)" if "answer" in answer else answer["label"]
        return Text.assemble((str(word), "cyan"), (f"  {answer['score']:.3f}", "dim"))
    return Text(f"{answer:.4g}", style="cyan")
