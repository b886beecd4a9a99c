# SPDX-License-Identifier: Apache-2.0
"""Weights of groups of tasks against answers that can be worked out by hand."""

import math

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.weighting import GO4AlignWeighting, WeightingContext

CONTEXT = WeightingContext(step=0)
SLOW = 1e-12  # a step size at which shares stay alike


def weights(weighting, *losses):
    tasks, state = torch.arange(len(losses)), weighting.init_state(len(losses))
    return weighting.weights(torch.tensor(losses).double(), tasks, state, CONTEXT).tolist()


def test_tasks_with_like_losses_share_the_mean_of_their_weights():
    # Mean loss over loss is 4 / 1, 4 / 1, 4 / 4, 4 / 10: groups {4, 4} and {1, 0.4}
    assert_close(
        weights(GO4AlignWeighting(step_size=SLOW), 1.0, 4.0, 1.0, 10.0), [4.0, 0.7, 4.0, 0.7]
    )


def test_one_group_weights_all_tasks_alike():
    # (3 / 2 + 3 / 4) / 2
    assert_close(weights(GO4AlignWeighting(num_groups=1, step_size=SLOW), 2.0, 4.0), [9 / 8, 9 / 8])


def test_as_many_groups_as_tasks_leave_each_its_own_weight():
    for num_groups in (3, 10):
        weighting = GO4AlignWeighting(num_groups=num_groups, step_size=SLOW)
        assert_close(weights(weighting, 1.0, 3.0, 2.0), [2.0, 2 / 3, 1.0])


def test_groups_are_cut_where_the_gap_is():
    # Mean loss 3 over losses: 3, 3 / 2, 1, 1 / 2, where the gap is behind the 3
    weighting = GO4AlignWeighting(step_size=SLOW)
    assert_close(weights(weighting, 2.0, 6.0, 1.0, 3.0), [1.0, 1.0, 3.0, 1.0])


def test_three_groups_hold_three_kinds_of_tasks():
    weighting = GO4AlignWeighting(num_groups=3, step_size=SLOW)
    assert_close(weights(weighting, 8.0, 1.0, 2.0, 1.0, 8.0), [4 / 8, 4.0, 4 / 2, 4.0, 4 / 8])


def test_the_share_of_a_task_falls_with_its_losses():
    weighting = GO4AlignWeighting(step_size=math.log(2))
    # A loss higher by 1 halves the share: 1 / 3 and 2 / 3, times 3 / 2 and 3 / 1
    assert_close(weights(weighting, 2.0, 1.0), [1 / 2, 2.0])


def test_an_absent_task_keeps_its_share():
    weighting = GO4AlignWeighting(step_size=0.5)
    losses, second = torch.tensor([4.0]).double(), torch.tensor([1])
    state = weighting.next_state(losses, second, weighting.init_state(2), CONTEXT)
    assert state["log_odds"].tolist() == [0.0, -2.0]


@pytest.mark.parametrize("num_groups", [0, -1])
def test_groups_have_to_be_at_least_one(num_groups):
    with pytest.raises(ValueError, match=r"`num_groups` must be a positive whole number, but got"):
        GO4AlignWeighting(num_groups=num_groups)


def test_the_step_size_has_to_be_positive():
    with pytest.raises(ValueError, match=r"`step_size` must be a positive number, but got 0"):
        GO4AlignWeighting(step_size=0)
