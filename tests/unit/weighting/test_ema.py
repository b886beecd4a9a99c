# SPDX-License-Identifier: Apache-2.0
"""Weights from running means of losses against answers that can be worked out by hand."""

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.weighting import EMAWeighting, WeightingContext

CONTEXT = WeightingContext(step=0)
BOTH = torch.tensor([0, 1])


def test_the_first_weight_is_one_over_the_loss():
    weighting = EMAWeighting()
    losses = torch.tensor([4.0, 0.5]).double()
    weights = weighting.weights(losses, BOTH, weighting.init_state(2), CONTEXT)
    assert_close(weights.tolist(), [1 / 4, 2.0])


def test_the_second_weight_holds_both_losses():
    weighting = EMAWeighting(decay=0.5)
    state = weighting.next_state(
        torch.tensor([4.0, 1.0]).double(), BOTH, weighting.init_state(2), CONTEXT
    )
    weights = weighting.weights(torch.tensor([1.0, 1.0]).double(), BOTH, state, CONTEXT)
    # Average 4 / 4 + 1 / 2, of which 1 / 4 still is the start at 0: (3 / 2) / (3 / 4) = 2
    assert_close(weights.tolist(), [1 / 2, 1.0])


def test_an_average_counts_the_steps_of_its_own_task():
    weighting = EMAWeighting(decay=0.5)
    second = torch.tensor([1])
    state = weighting.next_state(
        torch.tensor([8.0]).double(), second, weighting.init_state(2), CONTEXT
    )
    assert state["average"].tolist() == [0.0, 4.0]
    assert state["num_updates"].tolist() == [0.0, 1.0]
    weights = weighting.weights(torch.tensor([2.0, 8.0]).double(), BOTH, state, CONTEXT)
    assert_close(weights.tolist(), [1 / 2, 1 / 8])


@pytest.mark.parametrize("decay", [-0.1, 1, float("nan")])
def test_a_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ValueError, match=r"`decay` must be in \[0, 1\), but got"):
        EMAWeighting(decay=decay)
