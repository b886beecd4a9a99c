# SPDX-License-Identifier: Apache-2.0
"""Weights from earlier losses, or from chance, against answers that can be worked out by hand."""

import math
import re

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.weighting import (
    DWAWeighting,
    RLWWeighting,
    ValidationLossWeighting,
    WeightingContext,
)

BOTH = torch.tensor([0, 1])
# Where it is 1, and not 0, a score is higher by the temperature 1 / log 3: odds of 3 to 1.
THREE_TO_ONE = 1 / math.log(3)


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def after_steps(weighting, *steps):
    """State of two tasks after `(epoch, tasks, losses)` of one step each."""
    state = weighting.init_state(2)
    for step, (epoch, tasks, losses) in enumerate(steps):
        context = WeightingContext(step=step, epoch=epoch)
        state = weighting.next_state(numbers(*losses), torch.tensor(tasks), state, context)
    return state


def weights_in(weighting, state, *, epoch=0, step=0, tasks=BOTH):
    unknown = torch.full((len(tasks),), torch.nan, dtype=torch.float64)
    return weighting.weights(unknown, tasks, state, WeightingContext(step=step, epoch=epoch))


def after_evaluations(weighting, *losses):
    state = weighting.init_state(2)
    for row in losses:
        state = weighting.state_after_evaluation(numbers(*row), BOTH, state)
    return state


def test_dwa_weighs_tasks_by_the_ratio_of_the_last_two_epoch_means():
    # Means of 3 and 2, then of 6 and 2: ratios of 2 and 1.
    weighting = DWAWeighting(temperature=THREE_TO_ONE)
    state = after_steps(
        weighting,
        (0, [0, 1], [2, 1]),
        (0, [0, 1], [4, 3]),
        (1, [0, 1], [6, 2]),
        (2, [0, 1], [9, 9]),
    )
    assert_close(weights_in(weighting, state, epoch=2), numbers(2 * 3 / 4, 2 * 1 / 4))


def test_dwa_closes_an_epoch_as_soon_as_a_step_of_the_next_one_asks():
    weighting = DWAWeighting(temperature=THREE_TO_ONE)
    state = after_steps(weighting, (0, [0, 1], [3, 2]), (1, [0, 1], [6, 2]))
    assert weights_in(weighting, state, epoch=1).tolist() == [1, 1]
    assert_close(weights_in(weighting, state, epoch=2), numbers(3 / 2, 1 / 2))


def test_dwa_counts_intervals_of_steps_if_told_to():
    weighting = DWAWeighting(temperature=THREE_TO_ONE, interval_steps=2)
    both = [0, 1]
    state = after_steps(
        weighting, (0, both, [2, 1]), (0, both, [4, 3]), (0, both, [5, 2]), (0, both, [7, 2])
    )
    assert weights_in(weighting, state, step=3).tolist() == [1, 1]
    assert_close(weights_in(weighting, state, step=4), numbers(3 / 2, 1 / 2))


def test_dwa_takes_a_task_without_two_intervals_for_one_whose_loss_stays():
    weighting = DWAWeighting(temperature=THREE_TO_ONE)
    state = after_steps(weighting, (0, [0], [3]), (1, [0, 1], [6, 50]))
    assert_close(weights_in(weighting, state, epoch=2), numbers(3 / 2, 1 / 2))


def test_dwa_leaves_out_an_epoch_in_which_a_task_was_absent():
    weighting = DWAWeighting(temperature=THREE_TO_ONE)
    state = after_steps(
        weighting, (0, [0, 1], [3, 2]), (1, [1], [2]), (2, [0, 1], [6, 2]), (3, [1], [2])
    )
    assert_close(weights_in(weighting, state, epoch=4), numbers(3 / 2, 1 / 2))


def test_dwa_takes_shares_among_the_tasks_that_are_present():
    weighting = DWAWeighting()
    state = after_steps(weighting, (0, [0, 1], [3, 2]), (1, [0, 1], [6, 2]))
    assert weights_in(weighting, state, epoch=2, tasks=torch.tensor([0])).tolist() == [1]


def test_validation_loss_weighs_tasks_by_what_is_left_of_their_first_loss():
    # 4 of 2 are left, and 3 of 3: ratios of 2 and 1.
    weighting = ValidationLossWeighting(temperature=THREE_TO_ONE)
    state = after_evaluations(weighting, (2, 3), (70, 80), (4, 3))
    assert_close(weights_in(weighting, state), numbers(3 / 2, 1 / 2))


def test_validation_loss_is_neutral_before_and_at_the_first_evaluation():
    weighting = ValidationLossWeighting()
    assert weights_in(weighting, weighting.init_state(2)).tolist() == [1, 1]
    assert weights_in(weighting, after_evaluations(weighting, (2, 3))).tolist() == [1, 1]


def test_validation_loss_smooths_over_evaluations():
    # A quarter of 2 and three quarters of 6 are 5; a quarter of 5 and three of 5 are 5 again.
    weighting = ValidationLossWeighting(smoothing=0.25)
    state = after_evaluations(weighting, (2, 3), (6, 3), (5, 3))
    assert state["first"].tolist() == [2, 3]
    assert state["smoothed"].tolist() == [5, 3]


def test_validation_loss_takes_a_task_without_evaluation_for_one_whose_loss_stays():
    weighting = ValidationLossWeighting(temperature=THREE_TO_ONE)
    state = weighting.init_state(2)
    for loss in (3, 6):
        state = weighting.state_after_evaluation(numbers(loss), torch.tensor([0]), state)
    assert_close(weights_in(weighting, state), numbers(3 / 2, 1 / 2))


def test_validation_loss_keeps_weights_between_a_tenth_and_ten():
    weighting = ValidationLossWeighting(temperature=0.01)
    state = after_evaluations(weighting, (1, 1), (9, 1))
    assert_close(weights_in(weighting, state), numbers(2, 0.1))
    many = torch.arange(20)
    state = weighting.state_after_evaluation(
        torch.ones(20).double(), many, weighting.init_state(20)
    )
    state = weighting.state_after_evaluation(numbers(9), torch.tensor([7]), state)
    assert weights_in(weighting, state, tasks=many).max() == 10


def test_rlw_weights_are_softmaxed_normals():
    generator = WeightingContext(step=5).generator()
    first, second = (
        torch.randn((), generator=generator, dtype=torch.float64).item() for _ in range(2)
    )
    weights = weights_in(RLWWeighting(), {}, step=5)
    assert (weights[0] / weights[1]).item() == pytest.approx(math.exp(first - second))
    assert weights.sum().item() == pytest.approx(2)


def test_rlw_weights_are_alike_on_average():
    weights = torch.stack([weights_in(RLWWeighting(), {}, step=step) for step in range(2_000)])
    assert_close(weights.mean(dim=0), numbers(1, 1), atol=0.03, rtol=0)
    assert weights.std() > 0.3


def test_a_random_number_of_rlw_does_not_depend_on_which_others_are_present():
    all_tasks = weights_in(RLWWeighting(), {}, tasks=torch.arange(20))
    some = weights_in(RLWWeighting(), {}, tasks=torch.tensor([0, 3]))
    assert_close(some[0] / some[1], all_tasks[0] / all_tasks[3])


@pytest.mark.parametrize("weighting", [DWAWeighting, ValidationLossWeighting])
def test_a_temperature_that_is_not_positive_is_refused(weighting):
    with pytest.raises(ValueError, match="`temperature` must be a positive number, but got -1"):
        weighting(temperature=-1)


def test_an_interval_that_is_no_whole_number_of_steps_is_refused():
    with pytest.raises(TypeError, match="`interval_steps` must be a positive whole number"):
        DWAWeighting(interval_steps=0.5)
    with pytest.raises(ValueError, match="`interval_steps` must be a positive whole number"):
        DWAWeighting(interval_steps=0)


@pytest.mark.parametrize("value", [-0.1, 1, math.nan])
def test_a_smoothing_that_would_keep_everything_is_refused(value):
    message = re.escape(f"`smoothing` must be in [0, 1), but got {value}.")
    with pytest.raises(ValueError, match=message):
        ValidationLossWeighting(smoothing=value)
