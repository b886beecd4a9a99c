# SPDX-License-Identifier: Apache-2.0
"""Scores of sequences, put into rows."""

import torch
from torch.testing import assert_close

from hf_mtl.models.folding import folded
from hf_mtl.models.losses import LOSSES

INF = float("inf")


def test_rows_may_have_different_numbers_of_sequences():
    scores = torch.arange(6.0)[:, None]
    found = folded(scores, torch.tensor([0, 1, 1, 1, 2, 2]))
    assert found.tolist() == [[0, -INF, -INF], [1, 2, 3], [4, 5, -INF]]


def test_numbers_of_rows_may_begin_anywhere_and_leave_some_out():
    scores = torch.arange(4.0)[:, None]
    assert folded(scores, torch.tensor([5, 5, 9, 9])).tolist() == [[0, 1], [2, 3]]


def test_without_rows_each_sequence_is_one():
    assert folded(torch.ones(3, 1), None).tolist() == [[1], [1], [1]]


def test_the_gradient_reaches_every_sequence_of_a_labelled_row_and_no_other():
    scores = torch.zeros(5, 1, requires_grad=True)
    logits = folded(scores, torch.tensor([0, 0, 1, 1, 1]))
    LOSSES.build("choice").total(logits, torch.tensor([1, -100])).backward()
    assert_close(scores.grad[:, 0], torch.tensor([0.5, -0.5, 0.0, 0.0, 0.0]))
