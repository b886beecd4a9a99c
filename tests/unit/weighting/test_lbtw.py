# SPDX-License-Identifier: Apache-2.0
"""Loss-balanced weights against answers that can be worked out by hand."""

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.weighting import LBTWWeighting, WeightingContext

BOTH = torch.tensor([0, 1])
FIRST = WeightingContext(step=0)


def state_after(losses, tasks=BOTH, context=FIRST):
    weighting = LBTWWeighting()
    state = weighting.init_state(2)
    return weighting.next_state(torch.tensor(losses).double(), tasks, state, context)


def test_weights_are_alike_in_the_first_step_of_an_epoch():
    weighting, losses = LBTWWeighting(), torch.tensor([8.0, 2.0]).double()
    second_epoch = WeightingContext(step=9, epoch=1)
    first = weighting.weights(losses, BOTH, weighting.init_state(2), FIRST)
    later = weighting.weights(losses, BOTH, state_after([1.0, 4.0]), second_epoch)
    assert_close(first.tolist(), [1.0, 1.0])
    assert_close(later.tolist(), [1.0, 1.0])


def test_a_task_that_came_down_to_a_quarter_gets_half_the_weight():
    losses = torch.tensor([2.0, 3.0]).double()
    weights = LBTWWeighting().weights(losses, BOTH, state_after([8.0, 3.0]), FIRST)
    assert_close(weights.tolist(), [2 / 3, 4 / 3])


def test_alpha_one_takes_the_ratios_themselves():
    losses = torch.tensor([2.0, 3.0]).double()
    weights = LBTWWeighting(alpha=1.0).weights(losses, BOTH, state_after([8.0, 3.0]), FIRST)
    assert_close(weights.tolist(), [2 / 5, 8 / 5])


def test_the_first_loss_of_an_epoch_stays_until_the_next_one():
    weighting, state = LBTWWeighting(), state_after([8.0, 3.0])
    losses = torch.tensor([2.0, 1.0]).double()
    later = weighting.next_state(losses, BOTH, state, WeightingContext(step=1))
    assert later["first"].tolist() == [8.0, 3.0]
    anew = weighting.next_state(losses, BOTH, state, WeightingContext(step=2, epoch=1))
    assert anew["first"].tolist() == [2.0, 1.0]
    assert anew["epoch"].tolist() == [1.0, 1.0]


def test_a_task_begins_with_its_own_first_step():
    state = state_after([3.0], tasks=torch.tensor([1]))
    assert state["first"].tolist() == [0.0, 3.0]
    # The first task has not come down yet, the second to a quarter
    losses = torch.tensor([8.0, 0.75]).double()
    weights = LBTWWeighting().weights(losses, BOTH, state, WeightingContext(step=1))
    assert_close(weights.tolist(), [4 / 3, 2 / 3])


def test_alpha_has_to_be_positive():
    with pytest.raises(ValueError, match=r"`alpha` must be a positive number, but got -0.5"):
        LBTWWeighting(alpha=-0.5)
