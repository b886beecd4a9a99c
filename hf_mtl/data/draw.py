# SPDX-License-Identifier: Apache-2.0
"""A piece of one source: what samplers hand to the data."""

from dataclasses import dataclass

__all__ = ["Draw"]


@dataclass(frozen=True, slots=True)
class Draw:
    """Some rows of one source, at least one.

    Args:
        source: Name of the source.
        rows: Indices of the rows.
    """

    source: str
    rows: tuple[int, ...]
