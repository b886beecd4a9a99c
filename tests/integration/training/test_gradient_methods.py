# SPDX-License-Identifier: Apache-2.0
"""Gradient methods in training: what reaches the gradient, the log, a checkpoint."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from gradient_runs import EXACT, assert_same_parameters, trained
from slow_cells import some_fast
from strategy_checks import SpoiledHead
from toy_gradient_methods import NAMES, gradient_settings
from toy_runs import history

from hf_mtl import MultiTaskModel
from hf_mtl.gradients import GRADIENT_METHODS, GramianMethod


def test_a_weighting_scales_the_gradients_that_are_compared(toy_trainer):
    plain = trained(toy_trainer, "plain", weighting="scale_invariant")
    both = trained(
        toy_trainer, "both", weighting="scale_invariant", gradient_method="mean", batches="merged"
    )
    assert_same_parameters(both, plain)
    alone = trained(toy_trainer, "alone", gradient_method="mean")
    first, bare = history(both)[0], history(alone)[0]
    for task in both.suite:
        norm = bare[f"gradient_norm/{task}"] / bare[f"loss/{task}"]
        assert first[f"gradient_norm/{task}"] == pytest.approx(norm, rel=1e-4)
        assert first[f"weight/{task}"] == pytest.approx(1 / first[f"loss/{task}"], rel=1e-4)


def test_preferences_scale_gradients_unless_the_method_sees_to_them(toy_trainer, toy_suite):
    suite = toy_suite.replace("topic", weight=3.0)
    preferring = {"topic": 2.0, "valence": 2 / 3, "parts": 2 / 3, "kind": 2 / 3}
    plain = trained(toy_trainer, "plain", suite=suite)
    found = trained(toy_trainer, "found", suite=suite, gradient_method="mean")
    assert_same_parameters(found, plain)
    for line in history(found):
        assert [line[f"weight/{task}"] for task in suite] == pytest.approx(
            list(preferring.values())
        )
    # Weights of the shortest vector, each task made to advance by what is preferred.
    mgda = trained(toy_trainer, "mgda", suite=suite, gradient_method="mgda", max_steps=1)
    even = trained(toy_trainer, "even", gradient_method="mgda", max_steps=1)
    assert history(mgda)[0]["weight/topic"] != pytest.approx(history(even)[0]["weight/topic"])


def test_between_two_comparisons_weights_are_kept(toy_trainer):
    trainer = trained(toy_trainer, "kept", gradient_method="mgda", gradient_update_every=3)
    lines = history(trainer)
    weights = [[line[f"weight/{task}"] for task in trainer.suite] for line in lines]
    assert weights[0] == weights[1] == weights[2] != weights[3]
    assert weights[3] == weights[4] == weights[5]
    assert ["gradient_conflicts" in line for line in lines] == [True, False, False] * 2


@dataclass(frozen=True)
class _Fixed(GramianMethod):
    def weights(self, gramian, tasks, state, context):
        given = torch.tensor([-1.0, 0.1, 4.0, 1.0]).double()
        return given[: len(tasks)], state


@pytest.mark.parametrize("batches", ["separate", "merged"])
def test_between_two_comparisons_heads_keep_the_gradient_of_their_own_loss(toy_trainer, batches):
    """What is weighted is the gradient that goes on into the backbone."""
    GRADIENT_METHODS.register("fixed")(_Fixed)
    settings = EXACT | {
        "batches": batches,
        "tasks_per_step": "all",
        "gradient_method": "fixed",
        "max_steps": 2,
        "optim": "sgd",
    }
    compared = trained(toy_trainer, "compared", **settings)
    held = trained(toy_trainer, "held", **settings, gradient_update_every=2)
    assert "gradient_conflicts" not in history(held)[1]
    assert_same_parameters(held, compared)
    for found, expected in zip(history(held), history(compared), strict=True):
        assert found["loss"] == pytest.approx(expected["loss"])


def test_a_step_with_one_task_is_a_plain_one(toy_trainer):
    """Draws of one source at a time: only that of names has two tasks."""
    trainer = trained(toy_trainer, "some", tasks_per_step=1, max_steps=9, gradient_method="pcgrad")
    lines = history(trainer)
    assert any("loss/topic" in line for line in lines)
    for line in lines:
        assert ("gradient_conflicts" in line) == ("loss/kind" in line)
        if "loss/topic" in line:
            assert line["weight/topic"] == 1.0


@pytest.mark.parametrize("name", some_fast(NAMES, {"gradvac", "gradnorm", "pcgrad"}))
def test_a_resumed_run_equals_the_uninterrupted_one(toy_trainer, name):
    settings = {
        **gradient_settings(name),
        "tasks_per_step": 2,
        "batches": "merged",
        "gradient_update_every": 2,
        "max_steps": 8,
        "dropout": 0.1,
        "logging_steps": 3,
        "save_strategy": "steps",
        "save_steps": 4,
    }
    whole = toy_trainer("whole", **settings)
    whole.train()
    resumed = toy_trainer("resumed", **settings)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-4")
    assert history(resumed, 4) == history(whole, 4)
    expected = whole.model.state_dict()
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[key])


def test_a_saved_model_says_how_its_tasks_were_balanced(toy_trainer):
    trainer = trained(
        toy_trainer, "own", gradient_method={"name": "cagrad", "c": 0.2}, weighting="gls"
    )
    trainer.save_model()
    loaded = MultiTaskModel.from_pretrained(trainer.args.output_dir)
    assert loaded.config.balancing == {
        "weighting": {"name": "gls"},
        "gradient_method": {"name": "cagrad", "c": 0.2, "rescale": "mean"},
    }


def test_a_checkpoint_of_another_method_is_refused(toy_trainer):
    saving = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1, "tasks_per_step": "all"}
    trainer = toy_trainer("old", **saving, gradient_method="mgda")
    trainer.train()
    other = toy_trainer("new", **saving, gradient_method="pcgrad")
    with pytest.raises(ValueError, match=r"`gradient_method` must be that of the checkpoint, .*mg"):
        other.train(resume_from_checkpoint=f"{trainer.args.output_dir}/checkpoint-1")


@pytest.mark.parametrize("name", ["upgrad", "gradnorm"])
def test_a_run_without_the_method_of_its_checkpoint_is_refused(toy_trainer, name):
    saving = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1, "tasks_per_step": "all"}
    trainer = toy_trainer("old", **saving, gradient_method=name)
    trainer.train()
    other = toy_trainer("new", **saving)
    with pytest.raises(ValueError, match=r"must have every part .* lacks \['gradient_method'\]"):
        other.train(resume_from_checkpoint=f"{trainer.args.output_dir}/checkpoint-1")


def test_a_second_training_starts_without_what_the_first_has_learned(toy_trainer):
    given = {"gradient_method": "gradvac", "tasks_per_step": "all", "max_steps": 3}
    trainer = toy_trainer(**given)
    trainer.train()
    first = trainer._balance.state_dict()["state"]
    assert any(itertools.chain(*first["target"]))
    trainer.args.max_steps = 0
    trainer._balance.begin()
    assert not any(itertools.chain(*trainer._balance.state_dict()["state"]["target"]))


@pytest.mark.parametrize("batches", ["separate", "merged"])
@pytest.mark.parametrize("rule", ["skip_task", "skip_step"])
def test_a_loss_that_is_not_finite_is_left_out_of_the_comparison(toy_trainer, rule, batches):
    spoiler = SpoiledHead(0, step=2)
    trainer = toy_trainer(
        **EXACT,
        callbacks=[spoiler],
        batches=batches,
        gradient_method="upgrad",
        on_nonfinite=rule,
    )
    spoiler.trainer = trainer
    trainer.train()
    (line,) = [line for line in trainer.state.log_history if "nonfinite/valence" in line]
    assert "gradient_norm/valence" not in line
    assert ("gradient_norm/topic" in line) == (rule == "skip_task")
    assert all(each.isfinite().all() for each in trainer.model.state_dict().values())


def test_a_method_that_gives_no_number_is_named(toy_trainer):
    @dataclass(frozen=True)
    class BrokenMethod(GramianMethod):
        def weights(self, gramian, tasks, state, context):
            return torch.full_like(context.losses, torch.nan), state

    GRADIENT_METHODS.register("broken")(BrokenMethod)
    trainer = toy_trainer(**EXACT, gradient_method="broken")
    with pytest.raises(ValueError, match=r"must be finite, but BrokenMethod gave .* at step 1"):
        trainer.train()


def test_a_method_of_the_users_own_is_one_class(toy_trainer):
    @dataclass(frozen=True)
    class FirstOnly(GramianMethod):
        breaks: ClassVar = {}

        def weights(self, gramian, tasks, state, context):
            return (tasks == 0).double() * len(tasks), state

    GRADIENT_METHODS.register("first_only")(FirstOnly)
    trainer = trained(toy_trainer, "own", gradient_method="first_only")
    assert history(trainer)[0]["weight/topic"] == 4.0
    assert history(trainer)[0]["weight/kind"] == 0.0


def test_what_would_not_happen_is_refused(toy_trainer, toy_suite, toy_data):
    alone = {
        "suite": toy_suite.subset(["topic", "valence"]),
        "data": {source: toy_data[source] for source in ("topic", "valence")},
    }
    with pytest.raises(ValueError, match="`gradient_method` must have two tasks or more in a step"):
        toy_trainer(gradient_method="mgda", **alone)
    given = {"tasks_per_step": "all", "gradient_method": "mgda"}
    with pytest.raises(ValueError, match="`gradient_engine` must be another one unless all tasks"):
        toy_trainer(**given, gradient_engine="representation")
    with pytest.raises(ValueError, match="unless every step has one merged batch of rows with one"):
        toy_trainer(**given, gradient_engine="grouped_twice", batches="merged")
    with pytest.raises(ValueError, match=r"`torch_compile` must be False .* sources of several"):
        toy_trainer(**given, torch_compile=True)
    trainer = toy_trainer(**given, gradient_scope="adapter")
    with pytest.raises(ValueError, match="`gradient_scope` must take in a shared parameter"):
        trainer.train()
    trainer = toy_trainer(**given)
    trainer.model.backbone.requires_grad_(False)
    with pytest.raises(ValueError, match="`gradient_method` must have shared parameters to train"):
        trainer.train()
