# SPDX-License-Identifier: Apache-2.0
"""Checks of the numbers that users give."""

import math
from numbers import Integral, Real

__all__ = ["check_positive"]


def check_positive(name: str, value: object, *, whole: bool = False) -> None:
    """Raises unless a value is a positive number.

    Args:
        name: The argument that the user passed.
        value: What was passed.
        whole: Whether it has to be a whole number.

    Raises:
        TypeError: If it is no number, or no whole one.
        ValueError: If it is not positive, or not finite.
    """
    kind = "whole number" if whole else "number"
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        raise TypeError(
            f"`{name}` must be a positive {kind}, but got {value!r} ({type(value).__name__})."
        )
    if not (math.isfinite(value) and float(value) > 0):
        raise ValueError(f"`{name}` must be a positive {kind}, but got {value!r}.")
