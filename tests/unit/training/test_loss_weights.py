# SPDX-License-Identifier: Apache-2.0
"""The weighting of a run: what is told to it, and its state in a checkpoint."""

import json

import pytest
import torch

from hf_mtl.training.loss_weights import (
    LossWeights,
    losses_over_ranks,
    num_passes_for_losses,
)
from hf_mtl.training.ranks import Ranks
from hf_mtl.weighting import WEIGHTINGS


def begun(entry, tasks=("a", "b", "c"), **given):
    loss_weights = LossWeights(entry, lambda: list(tasks), **given)
    loss_weights.begin()
    return loss_weights


def after_a_step(entry, losses, **given):
    loss_weights = begun(entry, **given)
    loss_weights.add_step(losses, loss_weights.context(0, 0))
    return loss_weights


def test_a_state_goes_to_json_and_back():
    saved = json.loads(json.dumps(after_a_step("uncertainty", {"a": 4.0, "c": 0.5}).state_dict()))
    loaded = begun("uncertainty")
    loaded.load_state_dict(saved)
    assert loaded.state_dict() == saved
    # Adam's first step is as long as the learning rate, whatever the gradient.
    assert saved["state"]["parameter"] == pytest.approx([0.01, 0.0, -0.01])


def test_a_new_task_starts_fresh_and_those_that_stay_keep_their_state():
    saved = after_a_step("uncertainty", {"a": 4.0, "c": 0.5}).state_dict()
    changed = begun("uncertainty", tasks=("c", "new", "a"))
    changed.load_state_dict(saved)
    assert changed.state_dict()["state"]["parameter"] == pytest.approx([-0.01, 0.0, 0.01])
    assert changed.state_dict()["state"]["num_updates"] == [1.0, 0.0, 1.0]


def test_a_state_of_another_weighting_is_refused():
    saved = begun("uncertainty").state_dict()
    other = begun({"name": "uncertainty", "learning_rate": 0.1})
    with pytest.raises(
        ValueError, match=r"`weighting` must be that of the checkpoint.*0\.01.*0\.1"
    ):
        other.load_state_dict(saved)


def test_ranks_that_came_apart_are_not_saved():
    loss_weights = begun("uncertainty")
    state = loss_weights.state_dict()
    assert loss_weights.merge([state, state]) == state
    other = after_a_step("uncertainty", {"a": 1.5}).state_dict()
    with pytest.raises(RuntimeError, match="same on every rank, but 'parameter' of Uncert"):
        loss_weights.merge([state, other])


def test_lagged_losses_are_known_once_every_task_was_there():
    lagged = after_a_step("scale_invariant", {"a": 4.0, "b": 0.5}, loss_time="lagged")
    assert lagged.needs_losses(["a", "c"])
    assert not lagged.needs_losses(["a", "b"])
    assert lagged.weights(["a", "b"], lagged.context(1, 0)) == {"a": 0.25, "b": 2.0}


@pytest.mark.parametrize(
    "name", [name for name in WEIGHTINGS.names() if WEIGHTINGS.get(name).needs_losses]
)
def test_lagged_weights_are_those_of_the_step_before(name):
    """A loss counts once, also in weightings that remember losses."""
    current, lagged = begun(name), begun(name, loss_time="lagged")
    tasks = ["a", "b", "c"]
    for step in range(9):
        context = current.context(step, 0)
        losses = {"a": 1.0 + 99 * (step == 8), "b": 2.0 / (step + 1), "c": 0.5}
        after = {task: loss * (0.5 + 0.1 * step) for task, loss in losses.items()}
        expected = current.weights(tasks, context, losses)
        current.add_step(losses, context, after)
        lagged.add_step(losses, context, after)
        assert lagged.weights(tasks, context) == pytest.approx(expected)
    saved = json.loads(json.dumps(lagged.state_dict()))
    loaded = begun(name, loss_time="lagged")
    loaded.load_state_dict(saved)
    assert loaded.weights(tasks, context) == pytest.approx(expected)


def test_evaluation_losses_that_are_not_finite_teach_nothing(caplog):
    weights = begun("validation_loss")
    weights.add_evaluation({"a": 1.0, "b": float("nan"), "c": float("inf")})
    assert weights.state_dict()["state"]["first"] == [1.0, 0.0, 0.0]


def test_a_loaded_state_is_begun_with_once():
    saved = after_a_step("uncertainty", {"a": 4.0}).state_dict()
    weights = LossWeights("uncertainty", lambda: ["a", "b", "c"])
    weights.load_state_dict(saved)
    assert weights.begin()
    assert weights.state_dict() == saved
    assert not weights.begin()
    assert weights.state_dict()["state"]["parameter"] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("entry", "loss_time", "num_forwards", "passes"),
    [
        (None, "current", 4, 0),
        ("uncertainty", "current", 4, 0),
        ("scale_invariant", "current", 1, 0),
        ("scale_invariant", "current", 4, 1),
        ("scale_invariant", "lagged", 4, 0),
        ("famo", "current", 4, 2),
        ("famo", "current", 1, 1),
    ],
)
def test_passes_without_gradients_are_counted(entry, loss_time, num_forwards, passes):
    assert num_passes_for_losses(entry, loss_time, num_forwards) == passes


def test_losses_reach_the_host_unrounded():
    loss = torch.tensor(1 / 3, dtype=torch.float64)
    assert losses_over_ranks({"a": loss}, Ranks()) == {"a": 1 / 3}
    assert losses_over_ranks({}, Ranks()) == {}


def test_losses_after_a_step_that_are_no_numbers_teach_nothing():
    famo = begun("famo")
    before = famo.state_dict()
    losses = {"a": 1.0, "b": 2.0}
    famo.add_step(losses, famo.context(0, 0), losses_after={"a": float("nan"), "b": 1.0})
    assert famo.state_dict() == before
