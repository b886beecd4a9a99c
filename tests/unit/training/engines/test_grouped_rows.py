# SPDX-License-Identifier: Apache-2.0
"""Whose the rows of a merged batch are."""

import pytest

from hf_mtl.training.engines.grouped import RowGroups


def slices(tasks: list[int | None]) -> list[tuple[int, int, int]]:
    groups = RowGroups(6, [(0, 0, 2), (1, 2, 3), (2, 3, 5), (0, 5, 6)], tasks)
    return list(groups.slices(groups.segments))


def test_every_segment_is_a_slice_of_its_task():
    assert slices([5, 6, 7]) == [(5, 0, 2), (6, 2, 3), (7, 3, 5), (5, 5, 6)]


def test_neighbours_of_one_task_are_one_slice():
    assert slices([5, 5, 7]) == [(5, 0, 3), (7, 3, 5), (5, 5, 6)]


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([None, 6, 7], [(6, 2, 3), (7, 3, 5)]),
        ([5, None, 5], [(5, 0, 2), (5, 3, 6)]),
        ([5, 6, None], [(5, 0, 2), (6, 2, 3), (5, 5, 6)]),
        ([None, None, None], []),
    ],
)
def test_groups_without_a_task_have_no_slice(tasks, expected):
    assert slices(tasks) == expected


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([(0, 0, 2), (0, 3, 4)], r"ascending order, but got \(0, 3, 4\) after row 2"),
        ([(0, 0, 2), (0, 2, 2), (0, 2, 4)], r"but got \(0, 2, 2\) after row 2"),
        ([(0, 2, 4), (0, 0, 2)], r"but got \(0, 2, 4\) after row 0"),
        ([(0, 0, 3)], r"end at 3 of 4 rows \(`num_rows`\)"),
        ([(0, 0, 5)], r"end at 5 of 4 rows"),
        ([(1, 0, 4)], "groups below 1, the number of `tasks`, but got 1"),
        ([(-1, 0, 4)], "groups below 1, the number of `tasks`, but got -1"),
    ],
)
def test_segments_that_do_not_hold_every_row_once_are_refused(segments, message):
    with pytest.raises(ValueError, match=message):
        RowGroups(4, segments, [0])
