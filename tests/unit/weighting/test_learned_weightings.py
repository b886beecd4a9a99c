# SPDX-License-Identifier: Apache-2.0
"""Weights that are learned beside the model, against answers that can be worked out by hand."""

import math

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.weighting import (
    FAMOWeighting,
    IMTLLWeighting,
    ScaleInvariantWeighting,
    UncertaintyWeighting,
    WeightingContext,
)

CONTEXT = WeightingContext(step=0)
BOTH = torch.tensor([0, 1])


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def weights_at(weighting, losses, *parameters):
    """Weights of all tasks when the learned parameters are these."""
    state = {**weighting.init_state(len(parameters)), "parameter": numbers(*parameters)}
    tasks = torch.arange(len(parameters))
    return weighting.weights(losses, tasks, state, CONTEXT).tolist()


def gradient(weighting, losses, *parameters, losses_after=None):
    """Gradient of what the parameters are to lower."""
    parameter = numbers(*parameters).requires_grad_()
    loss = weighting.state_loss(parameter, losses, losses_after)
    return torch.autograd.grad(loss, parameter)[0].tolist()


def learned(weighting, losses, num_steps, losses_after=None):
    """Weights of two tasks after steps that all have the same losses."""
    state = weighting.init_state(2)
    for step in range(num_steps):
        context = WeightingContext(step=step)
        state = weighting.next_state(losses, BOTH, state, context, losses_after)
    return weighting.weights(losses, BOTH, state, CONTEXT)


def test_scale_invariant_weights_are_inverse_losses():
    weighting = ScaleInvariantWeighting()
    assert weighting.weights(numbers(4, 0.5), BOTH, {}, CONTEXT).tolist() == [1 / 4, 2]


def test_scale_invariant_bounds_a_loss_of_zero():
    weights = ScaleInvariantWeighting().weights(numbers(0, 1), BOTH, {}, CONTEXT)
    assert_close(weights, numbers(1e8, 1))


def test_uncertainty_weights_are_inverse_variances():
    found = weights_at(UncertaintyWeighting(), numbers(1, 1), math.log(2), math.log(1 / 4))
    assert found == pytest.approx([1 / 2, 4])


def test_uncertainty_with_log_changes_variances_by_one_minus_loss_over_variance():
    found = gradient(UncertaintyWeighting(), numbers(3, 3), 0, math.log(3))
    assert found == pytest.approx([1 - 3 / 1, 1 - 3 / 3])


def test_uncertainty_with_log1p_has_the_penalty_of_a_bounded_variance():
    found = gradient(UncertaintyWeighting(penalty="log1p"), numbers(3, 3), 0, math.log(3))
    assert found == pytest.approx([2 * 1 / 2 - 3, 2 * 3 / 4 - 1])


def test_uncertainty_ends_at_the_inverse_of_a_constant_loss():
    weighting = UncertaintyWeighting(learning_rate=0.05)
    assert_close(learned(weighting, numbers(2, 0.5), 400), numbers(1 / 2, 2), rtol=0.01, atol=0)


def test_imtl_l_weights_are_exponentials():
    assert weights_at(IMTLLWeighting(), numbers(1, 1), 0, math.log(3)) == pytest.approx([1, 3])


def test_imtl_l_changes_factors_by_weighted_loss_minus_one():
    found = gradient(IMTLLWeighting(), numbers(5, 1 / 3), 0, math.log(3))
    assert found == pytest.approx([1 * 5 - 1, 3 * 1 / 3 - 1])


def test_imtl_l_ends_at_the_inverse_of_a_constant_loss():
    weighting = IMTLLWeighting(learning_rate=0.05)
    assert_close(learned(weighting, numbers(2, 0.5), 400), numbers(1 / 2, 2), rtol=0.01, atol=0)


@pytest.mark.parametrize("weighting", [IMTLLWeighting(), UncertaintyWeighting()], ids=str)
def test_the_first_step_of_adam_changes_a_weight_by_the_learning_rate(weighting):
    weights = learned(weighting, numbers(4, 0.5), 1)
    assert_close(weights, numbers(math.exp(-0.01), math.exp(0.01)))


def test_famo_weights_are_shares_over_losses_that_add_up_to_the_number_of_tasks():
    # 3/4 over 3 and 1/4 over 2 are 2/8 and 1/8: two thirds and one third of 2.
    found = weights_at(FAMOWeighting(), numbers(3, 2), math.log(3), 0)
    assert found == pytest.approx([4 / 3, 2 / 3])


def test_famo_subtracts_the_lowest_loss_there_can_be():
    found = weights_at(FAMOWeighting(min_loss=1), numbers(4, 2), 0, 0)
    assert found == pytest.approx([2 * 1 / 4, 2 * 3 / 4])


def test_famo_takes_shares_among_the_tasks_that_are_present():
    weighting = FAMOWeighting()
    state = {"parameter": numbers(math.log(3), 50, 0)}
    weights = weighting.weights(numbers(3, 2), torch.tensor([0, 2]), state, CONTEXT)
    assert_close(weights, numbers(4 / 3, 2 / 3))


def test_famo_moves_shares_against_the_relative_improvement():
    # With shares of a half, the Jacobian of the softmax is 1/4 on and -1/4 off the diagonal.
    improvement = [math.log(4 / 2), math.log(3 / 3)]
    found = gradient(FAMOWeighting(), numbers(4, 3), 0, 0, losses_after=numbers(2, 3))
    expected = (improvement[0] - improvement[1]) / 4
    assert found == pytest.approx([expected, -expected])


def test_famo_gives_more_to_the_task_that_improved_less():
    first, second = learned(FAMOWeighting(), numbers(1, 1), 20, numbers(0.5, 1)).tolist()
    assert first < 1 < second
    assert first + second == pytest.approx(2)


def test_the_weight_decay_of_famo_pulls_shares_together():
    losses = numbers(1, 1)
    for weight_decay, is_pulled in ((0.0, False), (0.01, True)):
        weighting = FAMOWeighting(weight_decay=weight_decay)
        state = {**weighting.init_state(2), "parameter": numbers(1, -1)}
        state = weighting.next_state(losses, BOTH, state, CONTEXT, losses)
        assert (state["parameter"].abs() < 1).tolist() == [is_pulled, is_pulled]


def test_a_task_that_was_absent_starts_its_own_adam_when_it_comes():
    weighting = IMTLLWeighting()
    state = weighting.init_state(2)
    for _ in range(50):
        state = weighting.next_state(numbers(4), torch.tensor([0]), state, CONTEXT)
    assert state["num_updates"].tolist() == [50, 0]
    state = weighting.next_state(numbers(4, 4), BOTH, state, CONTEXT)
    assert state["parameter"][1].item() == pytest.approx(-0.01)


@pytest.mark.parametrize("weighting", [IMTLLWeighting, FAMOWeighting, UncertaintyWeighting])
def test_a_learning_rate_that_is_not_positive_is_refused(weighting):
    with pytest.raises(ValueError, match="`learning_rate` must be a positive number, but got 0"):
        weighting(learning_rate=0)


def test_an_unknown_penalty_is_refused_with_the_nearest_one():
    with pytest.raises(KeyError, match=r"Unknown penalty 'log2p'\. Did you mean 'log1p'\?"):
        UncertaintyWeighting(penalty="log2p")


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_a_weight_decay_below_zero_is_refused(value):
    with pytest.raises(ValueError, match=f"`weight_decay` must be 0 or more, but got {value}."):
        FAMOWeighting(weight_decay=value)


def test_a_lowest_loss_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="`min_loss` must be a finite number, but got inf"):
        FAMOWeighting(min_loss=math.inf)
