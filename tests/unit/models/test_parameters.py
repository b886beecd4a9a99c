# SPDX-License-Identifier: Apache-2.0
"""The number of parameters."""

import torch
from torch import nn

from hf_mtl.models.parameters import num_parameters


def test_a_parameter_that_zero_has_split_counts_whole():
    model = nn.Linear(3, 2)
    assert num_parameters(model) == 8
    model.weight = nn.Parameter(torch.empty(0))
    model.weight.ds_numel = 6
    assert num_parameters(model) == 8
