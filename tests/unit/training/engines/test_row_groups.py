# SPDX-License-Identifier: Apache-2.0
"""Whose the rows of a merged forward are."""

import torch

from hf_mtl.training.engines.row_groups import row_segments, tasks_by_rows


def test_tasks_of_one_source_share_its_rows():
    names, topic = torch.tensor([0, 1, 3]), torch.tensor([2])
    forward = {
        "inputs": {"input_ids": torch.zeros(4, 2)},
        "labels": dict.fromkeys(["topic", "parts", "kind"]),
        "rows": {"topic": topic, "parts": names, "kind": names.clone(), "absent": topic},
    }
    (first, alone), (second, together) = tasks_by_rows(forward)
    assert (first.tolist(), alone) == ([2], ["topic"])
    assert (second.tolist(), together) == ([0, 1, 3], ["parts", "kind"])


def test_a_forward_that_is_not_merged_is_one_group():
    forward = {"inputs": {"pixels": torch.zeros(3, 1)}, "labels": {"a": 0, "b": 0}, "rows": None}
    ((rows, tasks),) = tasks_by_rows(forward)
    assert (rows.tolist(), tasks) == ([0, 1, 2], ["a", "b"])


def test_rows_without_a_task_are_a_group_of_their_own():
    rows = [torch.tensor([1, 2]), torch.tensor([5])]
    assert row_segments(rows, 6) == [(2, 0, 1), (0, 1, 3), (2, 3, 5), (1, 5, 6)]
