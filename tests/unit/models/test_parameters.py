# SPDX-License-Identifier: Apache-2.0
"""The number of parameters."""

import torch
from torch import nn

from hf_mtl.models.parameters import num_parameters, task_of


def test_a_parameter_that_zero_has_split_counts_whole():
    model = nn.Linear(3, 2)
    assert num_parameters(model) == 8
    model.weight = nn.Parameter(torch.empty(0))
    model.weight.ds_numel = 6
    assert num_parameters(model) == 8


def test_only_trained_parameters_count_when_asked_for():
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    assert num_parameters(model, trainable=True) == 6


def test_heads_are_told_from_what_all_tasks_share():
    names = ("heads.topic.dense.weight", "heads.topic", "backbone.heads.topic.weight")
    assert [task_of(name) for name in names] == ["topic", None, None]
