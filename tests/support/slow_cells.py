# SPDX-License-Identifier: Apache-2.0
"""Matrices of which `make check` runs a few cells, and CI all."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest

__all__ = ["some_fast"]


def some_fast(cells: Iterable[str], fast: Collection[str]) -> list[Any]:
    """Parameters of a test: the cells, all but these marked as slow."""
    return [
        pytest.param(cell, marks=() if cell in fast else pytest.mark.slow, id=cell)
        for cell in cells
    ]
