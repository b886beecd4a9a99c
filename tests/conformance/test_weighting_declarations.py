# SPDX-License-Identifier: Apache-2.0
"""What a loss weighting declares is what it does: what it needs, and when it does nothing."""

import pytest
import torch
from torch import Tensor
from toy_weightings import weighting_settings

from hf_mtl.weighting import WEIGHTINGS, State, Weighting, WeightingContext

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


def assert_compares_tasks_if_it_says_so(weighting):
    """The weight of the only task of a step is 1 if it is compared with others, and else moves."""
    weights = weights_of(weighting, [2], losses_of_step)
    is_neutral = torch.allclose(weights, torch.ones_like(weights))
    assert is_neutral == (weighting.compares_tasks or weighting.is_constant)


def assert_is_constant_if_it_says_so(weighting):
    """Weights stay 1 if they are said to, and only then."""
    weights = weights_of(weighting, [0, 1, 2], losses_of_step)
    assert torch.equal(weights, torch.ones_like(weights)) == weighting.is_constant


def assert_needs_losses_if_it_says_so(weighting):
    """Weights without the losses of the step are numbers if those are not needed, and only then."""
    unknown = torch.full([3], torch.nan, dtype=torch.float64)
    weights = weights_of(weighting, [0, 1, 2], losses_of_step, given=unknown)
    assert bool(weights.isfinite().all()) == (not weighting.needs_losses)


LAWS = [
    assert_compares_tasks_if_it_says_so,
    assert_is_constant_if_it_says_so,
    assert_needs_losses_if_it_says_so,
]


@pytest.mark.parametrize("assert_law", LAWS)
def test_a_weighting_is_what_it_says(weighting, assert_law):
    assert_law(weighting)


class SaysNothing(Weighting):
    """Weights by the losses themselves, of any number of tasks, and declares none of it."""

    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        return losses / 2


class SaysTooMuch(SaysNothing):
    """Declares all that it does not do."""

    is_constant = True
    compares_tasks = True


@pytest.mark.parametrize(
    ("assert_law", "faulty"),
    [
        (assert_compares_tasks_if_it_says_so, SaysTooMuch()),
        (assert_is_constant_if_it_says_so, SaysTooMuch()),
        (assert_needs_losses_if_it_says_so, SaysNothing()),
    ],
)
def test_a_wrong_declaration_is_caught(assert_law, faulty):
    with pytest.raises(AssertionError):
        assert_law(faulty)
