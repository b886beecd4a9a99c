# SPDX-License-Identifier: Apache-2.0
"""Rounds of one batch from each source, and when an epoch of them ends."""

from collections.abc import Iterator, Sequence

from hf_mtl._checks import check_known
from hf_mtl.data.samplers.base import SourceSize

__all__ = ["STOPPING_RULES", "check_stopping", "draws_in_rounds", "num_rounds", "rounds"]

STOPPING_RULES = ("first_exhausted", "all_exhausted", "all_exhausted_without_replacement")
"""When an epoch ends, with the meaning that ``datasets.interleave_datasets`` gives the names.

``first_exhausted``: when the smallest source has been through once. ``all_exhausted``: when the
largest has; smaller ones start again. ``all_exhausted_without_replacement``: likewise, but smaller
ones are left out once they have been through.
"""


def check_stopping(stopping: str) -> None:
    """Raises ``KeyError`` with the nearest name unless the stopping rule is known."""
    check_known("stopping rule", stopping, STOPPING_RULES)


def num_rounds(sizes: Sequence[SourceSize], stopping: str) -> int:
    """Rounds of one epoch."""
    batches = [size.num_batches for size in sizes]
    return min(batches) if stopping == "first_exhausted" else max(batches)


def draws_in_rounds(sizes: Sequence[SourceSize], stopping: str) -> list[int]:
    """Draws of each source in one epoch."""
    if stopping == "all_exhausted_without_replacement":
        return [size.num_batches for size in sizes]
    return [num_rounds(sizes, stopping)] * len(sizes)


def rounds(sizes: Sequence[SourceSize], stopping: str, *, start: int = 0) -> Iterator[list[int]]:
    """Positions of the sources of each round from ``start`` on; never an empty round.

    Example:
        >>> sizes = [SourceSize(num_rows=1, batch_size=1), SourceSize(num_rows=2, batch_size=1)]
        >>> list(rounds(sizes, "all_exhausted"))
        [[0, 1], [0, 1]]
        >>> list(rounds(sizes, "all_exhausted_without_replacement"))
        [[0, 1], [1]]
    """
    draws = draws_in_rounds(sizes, stopping)
    for round_index in range(start, num_rounds(sizes, stopping)):
        yield [source for source, count in enumerate(draws) if round_index < count]
