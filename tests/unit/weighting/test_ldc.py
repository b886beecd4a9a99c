# SPDX-License-Identifier: Apache-2.0
"""Learned shares that make weighted losses alike, against answers worked out by hand."""

import math

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.weighting import LDCWeighting, WeightingContext

CONTEXT = WeightingContext(step=0)


def state_of(*parameters):
    state = LDCWeighting().init_state(len(parameters))
    return {**state, "parameter": torch.tensor(parameters).double()}


def test_weights_are_shares_times_the_number_of_tasks():
    state = state_of(math.log(3), 0.0)
    losses, tasks = torch.ones(2).double(), torch.tensor([0, 1])
    weights = LDCWeighting().weights(losses, tasks, state, CONTEXT)
    assert_close(weights.tolist(), [3 / 2, 1 / 2])


def test_shares_are_those_among_the_tasks_present():
    state = state_of(math.log(3), 5.0, 0.0)
    losses, tasks = torch.ones(2).double(), torch.tensor([0, 2])
    weights = LDCWeighting().weights(losses, tasks, state, CONTEXT)
    assert_close(weights.tolist(), [3 / 2, 1 / 2])


def test_the_discrepancy_adds_up_distances_from_the_mean():
    losses = torch.tensor([1.0, 2.0, 6.0]).double()
    discrepancy = LDCWeighting().state_loss(torch.zeros(3).double(), losses, None)
    assert_close(discrepancy.item(), 2.0 + 1.0 + 3.0)


def test_it_is_zero_where_weighted_losses_are_alike():
    losses = torch.tensor([1.0, 3.0]).double()
    parameter = torch.tensor([math.log(3), 0.0]).double()
    assert_close(LDCWeighting().state_loss(parameter, losses, None).item(), 0.0)


def test_the_first_step_moves_each_parameter_by_the_rate_against_its_loss():
    weighting = LDCWeighting(learning_rate=math.log(2) / 2)
    losses, tasks = torch.tensor([3.0, 1.0]).double(), torch.tensor([0, 1])
    state = weighting.next_state(losses, tasks, weighting.init_state(2), CONTEXT)
    # Adam's first step is the rate: the parameters are now apart by log 2
    weights = weighting.weights(losses, tasks, state, CONTEXT)
    assert_close(weights.tolist(), [2 / 3, 4 / 3], atol=1e-6, rtol=0)


def test_equal_losses_leave_the_shares_alone():
    losses, tasks = torch.ones(3).double(), torch.arange(3)
    weighting = LDCWeighting()
    state = weighting.next_state(losses, tasks, weighting.init_state(3), CONTEXT)
    assert state["parameter"].tolist() == [0.0, 0.0, 0.0]


def test_the_learning_rate_has_to_be_positive():
    with pytest.raises(ValueError, match=r"`learning_rate` must be a positive number, but got 0"):
        LDCWeighting(learning_rate=0)
