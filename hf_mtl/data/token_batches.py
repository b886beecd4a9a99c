# SPDX-License-Identifier: Apache-2.0
"""Draws of as many rows as fit into a number of tokens: short rows do not pay for long ones.

Rows are ordered by length and cut into draws from the longest on. Lengths that differ little count
as equal, and rows of equal length change places in each pass. So a pass has the same number of
draws, of the same sizes, whatever the order: an epoch has the steps that it promises.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["TokenBatches"]

Integers = NDArray[np.int64]

_STEPS_PER_OCTAVE = 8


class TokenBatches:
    """How the rows of a source are cut into draws under a token budget.

    A draw takes its number of sequences times the tokens of the longest one, padding included. It
    takes a row in any case.

    Args:
        lengths: Tokens of each row; of one that is several sequences, those of the longest.
        counts: Sequences of each row.
        tokens: Tokens of a draw, over all ranks and micro-batches.

    Attributes:
        tokens: Likewise.
        rows: Rows of each draw of a pass, from those with the longest rows to the shortest.

    Example:
        >>> batches = TokenBatches(np.array([2, 8, 3, 2, 4]), np.ones(5, dtype=int), tokens=8)
        >>> batches.rows.tolist()
        [1, 2, 2]
    """

    def __init__(self, lengths: Integers, counts: Integers, tokens: int) -> None:
        self.tokens = tokens
        levels = np.minimum(_levels(lengths), lengths.max())
        order = np.lexsort((-counts, -levels))
        self.rows = _cut(levels[order], counts[order], tokens)
        starts = np.cumsum(self.rows) - self.rows
        self._filled = levels[order][starts] * np.add.reduceat(counts[order], starts)
        # The order of rows that may not change places, as one number each.
        changes = np.diff(levels[order]) | np.diff(counts[order])
        self._places = np.empty(len(order), dtype=np.int64)
        self._places[order] = np.append(0, np.cumsum(changes != 0))

    def __len__(self) -> int:
        """Draws of a pass."""
        return len(self.rows)

    def shuffled(self, generator: np.random.Generator) -> list[Integers]:
        """Rows of each draw of one pass: every row once, in an order of the pass's own.

        Args:
            generator: The randomness of the pass.
        """
        rows = generator.permutation(len(self._places))
        rows = rows[np.argsort(self._places[rows], kind="stable")]
        # Ranks and micro-batches get parts of a draw, none of which is that of the longest rows.
        draws = np.repeat(np.arange(len(self)), self.rows)
        rows = rows[np.lexsort((generator.random(len(rows)), draws))]
        pieces = np.split(rows, np.cumsum(self.rows)[:-1])
        return [pieces[draw] for draw in generator.permutation(len(self))]

    def largest(self) -> list[Integers]:
        """Rows of draws that need most memory: of the longest row, of most tokens, of most rows.

        They come in this order, and once if they are the same.
        """
        pieces = np.split(np.argsort(self._places, kind="stable"), np.cumsum(self.rows)[:-1])
        chosen = dict.fromkeys((0, int(self._filled.argmax()), int(self.rows.argmax())))
        return [pieces[draw] for draw in chosen]


def _levels(lengths: Integers) -> Integers:
    """Lengths, rounded up to eight steps between one power of two and the next.

    Example:
        >>> _levels(np.array([7, 15, 17, 65, 128, 129])).tolist()
        [7, 15, 18, 72, 128, 144]
    """
    _, exponents = np.frexp(np.maximum(lengths - 1, 1))
    steps = np.maximum(2 ** (exponents - 1) // _STEPS_PER_OCTAVE, 1).astype(np.int64)
    rounded: Integers = -(-lengths // steps) * steps
    return rounded


def _cut(lengths: Integers, counts: Integers, tokens: int) -> Integers:
    """Rows of each draw, of rows that are ordered from the longest to the shortest."""
    ends = np.cumsum(counts)
    rows, start, taken = [], 0, 0
    while start < len(lengths):
        fitting = taken + tokens // lengths[start]
        end = max(int(np.searchsorted(ends, fitting, side="right")), start + 1)
        rows.append(end - start)
        start, taken = end, ends[end - 1]
    return np.array(rows)
