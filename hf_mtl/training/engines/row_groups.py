# SPDX-License-Identifier: Apache-2.0
"""Which rows of a merged forward are whose."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

__all__ = ["row_segments", "tasks_by_rows"]


def tasks_by_rows(forward: Mapping[str, Any]) -> list[tuple[Tensor, list[str]]]:
    """The tasks that have labels in a forward, by the rows that they have.

    Args:
        forward: The forward; tasks of one source have the same rows.

    Returns:
        For each source its rows, ``[b]``, and its tasks in the order of the suite.
    """
    if forward["rows"] is None:
        return [(torch.arange(num_rows(forward)), list(forward["labels"]))]
    groups: list[tuple[Tensor, list[str]]] = []
    for task in forward["labels"]:
        own = forward["rows"][task]
        for rows, tasks in groups:
            if rows is own or rows.equal(own):
                tasks.append(task)
                break
        else:
            groups.append((own, [task]))
    return groups


def num_rows(forward: Mapping[str, Any]) -> int:
    """Rows of a forward."""
    return len(next(iter(forward["inputs"].values())))


def row_segments(rows: Sequence[Tensor], num: int) -> list[tuple[int, int, int]]:
    """Rows of each group that follow each other: ``(group, start, stop)``, in ascending order.

    Args:
        rows: Rows of each group, ``[b]``; no two share one.
        num: All rows. Those of no group are one more group.

    Example:
        >>> row_segments([torch.tensor([0, 1, 4]), torch.tensor([2])], 5)
        [(0, 0, 2), (1, 2, 3), (2, 3, 4), (0, 4, 5)]
    """
    owner = torch.full([num], len(rows))
    for group, own in enumerate(rows):
        owner[own] = group
    segments = []
    start = 0
    for group, same in groupby(owner.tolist()):
        stop = start + len(list(same))
        segments.append((group, start, stop))
        start = stop
    return segments
