# SPDX-License-Identifier: Apache-2.0
"""A piece of one source: what samplers hand to the data."""

from dataclasses import dataclass

__all__ = ["Draw"]


@dataclass(frozen=True, slots=True)
class Draw:
    """Some rows of one source, at least one.

    Args:
        source: Name of the source.
        rows: Indices of the rows; of a stream, positions in its order.
        epoch: The epoch, which the order of a stream depends on, and what is hidden of rows.
        is_filler: Whether the rows only stand in for none, so that every rank runs the same
            forwards; their labels count as missing.
        seed: Seed of the run, for what is hidden of rows; 0 in evaluation, whatever the run.
    """

    source: str
    rows: tuple[int, ...]
    epoch: int = 0
    is_filler: bool = False
    seed: int = 0
