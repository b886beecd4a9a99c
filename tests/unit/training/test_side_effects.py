# SPDX-License-Identifier: Apache-2.0
"""A pass through a model that leaves nothing behind."""

import torch
from torch import nn

from hf_mtl.training.side_effects import random_state, without_side_effects

HOST = torch.device("cpu")


def test_numbers_drawn_inside_do_not_count():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    with without_side_effects(nn.Linear(1, 1), HOST, random_state(HOST)):
        torch.rand(5)
    torch.manual_seed(0)
    with without_side_effects(nn.Module(), HOST):
        torch.rand(5)
    assert torch.equal(torch.rand(2), expected)


def test_inside_numbers_may_be_those_of_an_earlier_moment():
    earlier = random_state(HOST)
    expected = torch.rand(3)
    with without_side_effects(nn.Module(), HOST, earlier):
        assert torch.equal(torch.rand(3), expected)


def test_statistics_of_a_batch_norm_keep_still():
    norm = nn.BatchNorm1d(2)
    with torch.no_grad(), without_side_effects(norm, HOST):
        norm(torch.randn(4, 2) + 3)
    assert norm.running_mean.tolist() == [0.0, 0.0]
    assert int(norm.num_batches_tracked) == 0
