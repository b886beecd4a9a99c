# SPDX-License-Identifier: Apache-2.0
"""Which stretch of a long text one row of features holds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["RowWindow"]


@dataclass(frozen=True)
class RowWindow:
    """A stretch of the context of a row, with what stands around it.

    Args:
        row: Index of the row among those that are encoded together.
        context: The whole context.
        spans: Characters of each token of the whole context: the first, and the one after the last.
        begin: The first token of the context that is in the window.
        stop: The one after the last.
        first: Position of the first of them among the features.
        null: Position that stands for "the answer is not here".
        length: Positions of the window.
    """

    row: int
    context: str
    spans: Sequence[tuple[int, int]]
    begin: int
    stop: int
    first: int
    null: int
    length: int

    def part(self, begin: int, stop: int) -> "RowWindow":
        """Some tokens of the context, with the same around them; of a window that has all.

        Args:
            begin: The first token of the context.
            stop: The one after the last.
        """
        left_out = len(self.spans) - (stop - begin)
        is_behind = self.null > self.first
        return replace(
            self,
            begin=begin,
            stop=stop,
            null=self.null - left_out if is_behind else self.null,
            length=self.length - left_out,
        )

    def cut(self, values: Sequence[Any]) -> list[Any]:
        """Values at the positions of this window.

        Args:
            values: Values at the positions of the whole row.
        """
        first, behind = self.first, self.first + len(self.spans)
        return [*values[:first], *values[first + self.begin : first + self.stop], *values[behind:]]
