# SPDX-License-Identifier: Apache-2.0
"""The smooth maximum of losses against answers that can be worked out by hand."""

import pytest
import torch
from torch.testing import assert_close

from hf_mtl.weighting import STCHWeighting, WeightingContext

TASKS = torch.tensor([0, 1])
LOSSES = torch.tensor([2.0, 1.0]).double()
# Nadirs of 4 and 1, each from two steps: the first loss has halved since then, the second has not.
STATE = {"sum": torch.tensor([8.0, 2.0]).double(), "count": torch.tensor([2.0, 2.0]).double()}
AFTER = WeightingContext(step=900, epoch=5)


def test_in_the_warmup_a_weight_is_one_over_the_loss():
    for epoch in (0, 4):
        context = WeightingContext(step=100, epoch=epoch)
        weights = STCHWeighting().weights(LOSSES, TASKS, STATE, context)
        assert_close(weights.tolist(), [1 / 2, 1.0])


def test_after_it_the_task_that_came_down_least_counts_most():
    weights = STCHWeighting().weights(LOSSES, TASKS, STATE, AFTER)
    # Ratios 1 / 2 and 1 are shares of 1 / 3 and 2 / 3; times 2 tasks; over losses of 2 and 1
    assert_close(weights.tolist(), [1 / 3, 4 / 3])


def test_weights_are_those_of_the_gradient():
    losses = LOSSES.clone().requires_grad_()
    nadir = torch.tensor([4.0, 1.0]).double()
    total = 0.5 * torch.log(torch.exp(torch.log(losses / nadir) / 0.5).sum())
    total.backward()
    weights = STCHWeighting(temperature=0.5).weights(LOSSES, TASKS, STATE, AFTER)
    assert_close(weights, 2 * losses.grad)


def test_at_a_low_temperature_the_worst_task_is_alone():
    weights = STCHWeighting(temperature=0.01).weights(LOSSES, TASKS, STATE, AFTER)
    assert_close(weights.tolist(), [0.0, 2.0])


def test_the_nadir_is_the_mean_loss_of_the_epoch_after_the_warmup():
    weighting = STCHWeighting()
    state = weighting.init_state(2)
    for epoch, loss in [(3, 100.0), (4, 6.0), (4, 2.0), (5, 100.0)]:
        context = WeightingContext(step=epoch, epoch=epoch)
        losses = torch.tensor([loss, 1.0]).double()
        state = weighting.next_state(losses, TASKS, state, context)
    assert (state["sum"] / state["count"]).tolist() == [4.0, 1.0]


def test_the_last_quarter_of_warmup_steps_gives_the_nadir():
    weighting = STCHWeighting(warmup_steps=8)
    state = weighting.init_state(2)
    for step in range(10):
        context = WeightingContext(step=step, epoch=step)
        losses = torch.tensor([float(step), 1.0]).double()
        state = weighting.next_state(losses, TASKS, state, context)
    assert state["sum"].tolist() == [6.0 + 7.0, 2.0]
    assert state["count"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize(("step", "expected"), [(0, [1 / 2, 1.0]), (1, [1 / 3, 4 / 3])])
def test_a_warmup_may_be_a_single_step_of_a_single_epoch(step, expected):
    weighting = STCHWeighting(warmup_steps=1)
    nadir = torch.tensor([4.0, 1.0]).double()
    state = weighting.next_state(nadir, TASKS, weighting.init_state(2), WeightingContext(step=0))
    weights = weighting.weights(LOSSES, TASKS, state, WeightingContext(step=step))
    assert_close(weights.tolist(), expected)


def test_a_task_that_has_no_nadir_counts_as_one_that_has_not_come_down():
    state = {"sum": torch.tensor([8.0, 0.0]).double(), "count": torch.tensor([2.0, 0.0]).double()}
    weights = STCHWeighting().weights(LOSSES, TASKS, state, AFTER)
    assert_close(weights.tolist(), [1 / 3, 4 / 3])


@pytest.mark.parametrize("field", ["temperature", "warmup_epochs", "warmup_steps"])
def test_a_field_that_is_negative_is_refused(field):
    with pytest.raises(ValueError, match=rf"`{field}` must be a positive .*number, but got -1"):
        STCHWeighting(**{field: -1})


def test_no_warmup_epochs_leave_the_first_epoch_for_the_nadir():
    context = WeightingContext(step=0, epoch=0)
    weighting = STCHWeighting(warmup_epochs=0)
    state = weighting.next_state(LOSSES, TASKS, weighting.init_state(2), context)
    assert state["sum"].tolist() == [2.0, 1.0]
