# SPDX-License-Identifier: Apache-2.0
"""What a loss weighting declares is what it does: what it needs, and when it does nothing."""

import pytest
import torch
from toy_weightings import weighting_settings

from hf_mtl.weighting import WEIGHTINGS, WeightingContext

STEPS = 6


@pytest.fixture(params=WEIGHTINGS.names())
def weighting(request):
    return WEIGHTINGS.build(weighting_settings(request.param)["weighting"])


def weights_of(weighting, tasks, losses_of_step, given=None):
    """Weights of every step, over losses of which some rise and some fall."""
    tasks = torch.tensor(tasks)
    state, weights = weighting.init_state(3), []
    for step in range(STEPS):
        context = WeightingContext(step=step)
        losses = losses_of_step(step)[tasks]
        weights.append(weighting.weights(losses if given is None else given, tasks, state, context))
        state = weighting.next_state(losses, tasks, state, context, losses * 0.9)
        state = weighting.state_after_evaluation(losses, tasks, state)
    return torch.stack(weights)


def losses_of_step(step):
    return torch.tensor([2.0 / (step + 1), 0.5, 3.0 + step], dtype=torch.float64)


def test_a_step_of_one_task_is_neutral_if_tasks_are_compared(weighting):
    weights = weights_of(weighting, [2], losses_of_step)
    is_neutral = torch.allclose(weights, torch.ones_like(weights))
    assert is_neutral == (weighting.compares_tasks or weighting.is_constant)


def test_only_a_constant_weighting_never_moves(weighting):
    weights = weights_of(weighting, [0, 1, 2], losses_of_step)
    assert torch.equal(weights, torch.ones_like(weights)) == weighting.is_constant


def test_losses_that_are_not_needed_are_not_looked_at(weighting):
    unknown = torch.full([3], torch.nan, dtype=torch.float64)
    weights = weights_of(weighting, [0, 1, 2], losses_of_step, given=unknown)
    assert bool(weights.isfinite().all()) == (not weighting.needs_losses)
