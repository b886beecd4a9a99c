# SPDX-License-Identifier: Apache-2.0
"""Rates that the user gives for several points of the training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from hf_mtl._checks import check_same_names
from hf_mtl._points import around, check_points
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_name import check_probabilities, rates_by_name
from hf_mtl.data.samplers.by_rate import RandomSampler

__all__ = ["ScheduledSampler"]


@SAMPLERS.register("scheduled")
@final
@dataclass(frozen=True)
class ScheduledSampler(RandomSampler):
    """Draws examples with probabilities that go straight from one given point to the next.

    For a curriculum, or a task that should come late or fade out. An epoch has as many rows as the
    sources have together.

    Args:
        points: What holds when: each a mapping with ``at``, the progress of the training from 0 to
            1, and ``probabilities``, a number for each source by its name, relative to the others.
            In order; before the first and behind the last point nothing changes.

    Raises:
        TypeError: If a point is no such mapping.
        ValueError: If there is no point, if they are out of order, or if a source has 0 in all of
            them: its tasks would never be trained.

    Example:
        >>> sizes = [SourceSize(900, 8, name="news"), SourceSize(100, 8, name="reviews")]
        >>> sampler = ScheduledSampler(
        ...     [
        ...         {"at": 0.0, "probabilities": {"news": 1, "reviews": 0}},
        ...         {"at": 0.5, "probabilities": {"news": 1, "reviews": 1}},
        ...     ]
        ... )
        >>> [sampler.rates(sizes, progress) for progress in (0.0, 0.25, 1.0)]
        [[1.0, 0.0], [0.75, 0.25], [0.5, 0.5]]
    """

    needs_sizes: ClassVar[bool] = False

    points: Sequence[Mapping[str, Any]]

    def __post_init__(self) -> None:
        _check_points(self.points)

    def check_sources(self, names: Sequence[str]) -> None:
        for i, point in enumerate(self.points):
            check_same_names(f"points[{i}].probabilities", point["probabilities"], names, "source")

    @property
    def changes(self) -> bool:
        return True

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        *ends, share = around(self.points, progress)
        left, right = (rates_by_name(point["probabilities"], sizes) for point in ends)
        return [a + share * (b - a) for a, b in zip(left, right, strict=True)]


def _check_points(points: Sequence[Mapping[str, Any]]) -> None:
    check_points("points", points, "probabilities")
    if not points:
        raise ValueError("`points` must hold at least one point, but got none.")
    for i, point in enumerate(points):
        check_probabilities(f"points[{i}].probabilities", point["probabilities"])
    given = [item for point in points for item in point["probabilities"].items()]
    drawn = {source for source, value in given if value}
    if never := sorted({source for source, _ in given} - drawn):
        raise ValueError(
            f"`points` must give every source a number above 0 somewhere, but {never} would never "
            f"be trained. Remove these sources from the suite, or raise them at some point."
        )
