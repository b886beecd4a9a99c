# SPDX-License-Identifier: Apache-2.0
"""The state of a gradient method: scales, preferences, what is held, what a checkpoint keeps."""

import pytest
import torch

from hf_mtl.gradients import SeveralBatchesMethod
from hf_mtl.training.gradient_balance import GradientBalance

TASKS = ["a", "b", "c"]


def begun(entry="mgda", tasks=TASKS, **settings):
    balance = GradientBalance(entry, lambda: tasks, **settings)
    balance.begin()
    return balance


def after_steps(balance, num_steps=2):
    for step in range(num_steps):
        gramian = torch.tensor([[4.0, -1.0], [-1.0, 1.0]]).double() / (step + 1)
        balance.weights(gramian, {"a": 1.0, "c": 2.0}, dict.fromkeys(TASKS, 1.0), step)
        balance.step_was_made()
    return balance


def test_weights_are_those_of_the_method():
    # Orthogonal, lengths 2 and 1: the shortest vector has shares 1/5 and 4/5, and there are two.
    gramian = torch.diag(torch.tensor([4.0, 1.0]).double())
    weights = begun().weights(gramian, {"a": 1.0, "c": 2.0}, dict.fromkeys(TASKS, 1.0), 0)
    assert weights == pytest.approx({"a": 2 * 1 / 5, "c": 2 * 4 / 5})


def test_preferences_are_taken_out_of_gradients_that_a_method_scales_itself():
    """Twice the preference, twice the progress; the Gramian that is handed in has it in it."""
    preferences = {"a": 2.0, "b": 1.0, "c": 1.0}
    gramian = torch.diag(torch.tensor([4.0, 1.0]).double())  # of 2 x g and g, both of length 1
    weights = begun().weights(gramian, {"a": 1.0, "c": 1.0}, preferences, 0)
    # Progress is the coefficient of the unit gradient: weight times preference.
    assert weights["a"] * 2 / weights["c"] == pytest.approx(2)


def test_a_method_is_told_of_gradients_on_parts_as_estimates_of_those_of_the_step():
    """Parts of a step add up to it: with two, what each estimates is twice as long."""
    told = []

    class Told(SeveralBatchesMethod):
        num_batches = 2

        def weights(self, products, tasks, state, context):
            told.append(products)
            return torch.tensor([1.5, 0.5]).double(), state

    balance = begun()
    balance.method = Told()
    parts = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[3.0, 1.0], [1.0, 2.0]]]).double()
    rows = parts.view(4, 2)
    preferences = dict.fromkeys(TASKS, 1.0)
    weights = balance.weights(rows @ rows.T, {"a": 1.0, "c": 1.0}, preferences, 0)
    torch.testing.assert_close(told[0], 4 * torch.einsum("aip,bjp->aibj", parts, parts))
    assert weights == {"a": 1.5, "c": 0.5}


def test_a_step_with_one_task_has_nothing_to_compare():
    assert begun().held(["b"], 0) == {"b": 1.0}
    assert begun().held(["a", "b"], 0) is None


def test_weights_are_held_between_updates_for_tasks_that_have_some():
    balance = after_steps(begun(update_every=3), num_steps=1)
    held = balance.held(["a", "c"], 1)
    assert held == balance.held(["c", "a"], 2)
    assert balance.held(["a", "b"], 1) is None
    assert balance.held(["a", "c"], 3) is None


def test_a_comparison_that_is_due_waits_for_a_step_that_can_make_it():
    """As where most steps have one task: they do not use the turn up."""
    balance = after_steps(begun(update_every=3), num_steps=1)
    assert balance.held(["a"], 3) == {"a": 1.0}
    assert balance.held(["a", "c"], 4) is None


def test_another_task_at_the_position_of_the_primary_one_is_refused():
    saved = after_steps(begun({"name": "pcd", "primary": 0})).state_dict()
    other = GradientBalance({"name": "pcd", "primary": 0}, lambda: ["b", "a", "c"])
    with pytest.raises(ValueError, match="`primary` must stand for the task of the checkpoint"):
        other.load_state_dict(saved)


def test_a_step_that_was_not_made_leaves_nothing_behind():
    balance = begun("gradvac")
    before = balance.state_dict()
    gramian = torch.tensor([[4.0, -1.0], [-1.0, 1.0]]).double()
    balance.weights(gramian, {"a": 1.0, "c": 2.0}, dict.fromkeys(TASKS, 1.0), 0)
    balance.step_was_not_made()
    balance.step_was_made()
    assert balance.state_dict() == before


@pytest.mark.parametrize("name", ["gradvac", "gradnorm"])
def test_state_is_kept_by_task_when_tasks_come_and_go(name):
    saved = after_steps(begun(name)).state_dict()
    other = GradientBalance(name, lambda: ["new", "c", "a"])
    other.load_state_dict(saved)
    other.begin()
    found, fresh = other.state_dict(), begun(name, ["new", "c", "a"]).state_dict()
    for key, value in saved["state"].items():
        old, new = torch.tensor(value), torch.tensor(found["state"][key])
        if old.ndim == 2:
            assert torch.equal(new[1:, 1:], old[[2, 0]][:, [2, 0]])
            assert torch.equal(new[0], torch.tensor(fresh["state"][key])[0])
        elif old.ndim == 1:
            assert torch.equal(new[1:], old[[2, 0]])
    assert found["held"].keys() == {"a", "c"}


def test_ranks_that_came_apart_are_not_saved():
    balance = begun("gradvac")
    state = balance.state_dict()
    assert balance.merge([state, state]) == state
    other = after_steps(begun("gradvac")).state_dict()
    with pytest.raises(RuntimeError, match="same on every rank, but 'target' of GradVac"):
        balance.merge([state, other])


def test_a_state_of_another_method_is_refused():
    with pytest.raises(ValueError, match=r"`gradient_method` must be that of the checkpoint, .*mg"):
        begun("pcgrad").load_state_dict(begun("mgda").state_dict())
