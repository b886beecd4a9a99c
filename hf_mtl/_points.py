# SPDX-License-Identifier: Apache-2.0
"""What users give for some points of the training, with straight lines between them."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from hf_mtl._numbers import check_interval

__all__ = ["around", "check_points"]

Point = Mapping[str, Any]


def around(points: Sequence[Point], progress: float) -> tuple[Point, Point, float]:
    """The two points next to a time, and how far it is from the first to the second, in [0, 1].

    Before the first and behind the last point these are both sides.

    Args:
        points: At least one, each with ``at``, in order.
        progress: Progress of the training, from 0 to 1.
    """
    times = [point["at"] for point in points]
    after = bisect_right(times, progress)
    left, right = points[max(after - 1, 0)], points[min(after, len(times) - 1)]
    if after in (0, len(times)):
        return left, right, 0.0
    return left, right, (progress - left["at"]) / (right["at"] - left["at"])


def check_points(name: str, points: object, field: str) -> None:
    """Raises unless points are mappings with ``at`` and one field more, in order.

    Args:
        name: The argument that the user passed.
        points: What was passed.
        field: The field; its values are not looked at.

    Raises:
        TypeError: If they are no list of such mappings.
        ValueError: If a time is not in [0, 1], or they are out of order.
    """
    if isinstance(points, str | Mapping) or not isinstance(points, Sequence):
        raise TypeError(f"`{name}` must be a list of points, but got {points!r}.")
    for i, point in enumerate(points):
        if not isinstance(point, Mapping) or set(point) != {"at", field}:
            raise TypeError(
                f"`{name}[{i}]` must be a mapping with `at` and `{field}`, but got {point!r}."
            )
        check_interval(f"{name}[{i}].at", point["at"], "[0, 1]")
    times = [point["at"] for point in points]
    if any(a >= b for a, b in pairwise(times)):
        raise ValueError(f"`{name}` must be in order, but got `at` {times}.")
