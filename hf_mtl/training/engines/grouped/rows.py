# SPDX-License-Identifier: Apache-2.0
"""Which rows of a merged batch are whose."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["RowGroups", "Segment"]

Segment = tuple[int, int, int]


@dataclass
class RowGroups:
    """Which rows of a merged batch are whose.

    Args:
        num_rows: Rows ``B`` of the batch.
        segments: ``(group, start, stop)``: rows of one group that follow each other. A group may
            have several segments; together they hold every row once, in ascending order.
        tasks: For each group the position of the task whose loss the next backward is of, or None
            if that backward has no loss of this group. To be set anew before each backward.

    Raises:
        ValueError: If the segments do not hold every row once, in ascending order, or name a group
            that ``tasks`` does not have.

    Example:
        >>> groups = RowGroups(5, [(0, 0, 2), (1, 2, 3), (0, 3, 5)], tasks=[7, 8])
        >>> list(groups.slices(groups.segments))
        [(7, 0, 2), (8, 2, 3), (7, 3, 5)]
    """

    num_rows: int
    segments: Sequence[Segment]
    tasks: Sequence[int | None]

    def __post_init__(self) -> None:
        reached = 0
        for group, start, stop in self.segments:
            if start != reached or stop <= start:
                raise ValueError(
                    "`segments` must hold every row once, in ascending order, but got "
                    f"{(group, start, stop)} after row {reached}."
                )
            if not 0 <= group < len(self.tasks):
                raise ValueError(
                    f"`segments` must name groups below {len(self.tasks)}, the number of `tasks`, "
                    f"but got {group}."
                )
            reached = stop
        if reached != self.num_rows:
            raise ValueError(
                f"`segments` must hold every row once, but end at {reached} of {self.num_rows} "
                "rows (`num_rows`)."
            )

    def slices(self, segments: Sequence[Segment]) -> Iterator[tuple[int, int, int]]:
        """``(task, start, stop)`` of the segments in this backward; neighbours of a task as one."""
        pending: tuple[int, int, int] | None = None
        for group, start, stop in segments:
            task = self.tasks[group]
            if pending is not None and (task, start) == (pending[0], pending[2]):
                pending = (pending[0], pending[1], stop)
                continue
            if pending is not None:
                yield pending
            pending = None if task is None else (task, start, stop)
        if pending is not None:
            yield pending
