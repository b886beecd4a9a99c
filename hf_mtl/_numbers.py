# SPDX-License-Identifier: Apache-2.0
"""Checks of the numbers that users give."""

import math
from numbers import Integral, Real

__all__ = [
    "check_finite_number",
    "check_interval",
    "check_not_negative",
    "check_positive",
    "finite_or_none",
    "is_position",
]


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
    number = _number(name, value, f"a positive {kind}", whole=whole)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"`{name}` must be a positive {kind}, but got {value!r}.")


def check_not_negative(name: str, value: object) -> None:
    """Raises unless a value is a number of 0 or more; arguments and errors as above."""
    if not 0 <= _number(name, value, "0 or more") < math.inf:
        raise ValueError(f"`{name}` must be 0 or more, but got {value!r}.")


def check_finite_number(name: str, value: object) -> None:
    """Raises unless a value is a finite number; arguments and errors as above."""
    if not math.isfinite(_number(name, value, "a finite number")):
        raise ValueError(f"`{name}` must be a finite number, but got {value!r}.")


def check_interval(name: str, value: object, interval: str) -> None:
    """Raises unless a value is a number in an interval.

    Args:
        name: The argument that the user passed.
        value: What was passed.
        interval: The interval, such as ``"[0, 1)"``, to which 0 belongs and 1 does not.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is outside.
    """
    number = _number(name, value, f"in {interval}")
    low, high = map(float, interval[1:-1].split(","))
    is_above = low <= number if interval.startswith("[") else low < number
    is_below = number <= high if interval.endswith("]") else number < high
    if not (is_above and is_below):
        raise ValueError(f"`{name}` must be in {interval}, but got {value!r}.")


def finite_or_none(value: object) -> object:
    """The value, or ``None`` for a float that is not finite, which JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def is_position(value: object) -> bool:
    """Whether a value is a whole number of 0 or more."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def _number(name: str, value: object, kind: str, *, whole: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        raise TypeError(f"`{name}` must be {kind}, but got {value!r} ({type(value).__name__}).")
    return float(value)
