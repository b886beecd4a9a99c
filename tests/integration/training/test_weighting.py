# SPDX-License-Identifier: Apache-2.0
"""Loss weightings in training: what reaches the gradient, the log, a checkpoint."""

import itertools
from dataclasses import dataclass

import pytest
import torch
from toy_runs import history
from toy_weightings import weighting_settings

from hf_mtl.weighting import WEIGHTINGS, Weighting

EXACT = {"dtype": torch.float64, "max_steps": 6}


def assert_same_run(found, expected):
    """To rounding: every parameter, and every line of the log."""
    for line, wanted in zip(history(found), history(expected), strict=True):
        assert line == pytest.approx(wanted, rel=1e-6)
    wanted = expected.model.state_dict()
    for name, value in found.model.state_dict().items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_merged_separate_and_accumulated_batches_have_the_same_weights(toy_trainer, name):
    """One forward tells its losses before its backward; several need a pass without gradients."""
    settings = {**EXACT, **weighting_settings(name), "adam_epsilon": 1e-3}
    merged = toy_trainer("merged", **settings, batches="merged")
    separate = toy_trainer("separate", **settings)
    accumulated = toy_trainer(
        "accumulated", **settings, gradient_accumulation_steps=2, per_device_train_batch_size=2
    )
    for trainer in (merged, separate, accumulated):
        trainer.train()
    assert_same_run(separate, merged)
    assert_same_run(accumulated, merged)
    weights = [{key: line[key] for key in line if "weight/" in key} for line in history(merged)]
    # They do something: all but the static one move from step to step.
    assert (weights[0] == weights[-1]) == WEIGHTINGS.get(name).is_constant


def test_the_gradient_is_that_of_the_objective(toy_trainer):
    """The mean logarithm of the losses, written down, against weights of 1 / loss."""
    trainer = toy_trainer(
        **EXACT | {"max_steps": 1},
        weighting="scale_invariant",
        tasks_per_step="all",
        learning_rate=0.0,
        max_grad_norm=0.0,
    )
    found = {}
    inner = trainer.strategy.after_step

    def keep_gradients(model, tasks):
        found.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
        return inner(model, tasks)

    trainer.strategy.after_step = keep_gradients
    trainer.train()
    model = trainer.model
    model.zero_grad()
    losses = {}
    for micro_batch in trainer.get_train_dataloader():
        for forward in micro_batch["forwards"]:
            outputs = model(**forward["inputs"], labels=forward["labels"], rows=forward["rows"])
            losses |= outputs.losses
        break
    torch.stack([loss.log() for loss in losses.values()]).mean().backward()
    assert len(losses) == 4
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-6, atol=1e-12)


def test_preferences_of_the_user_are_factors(toy_trainer, toy_suite):
    suite = toy_suite.replace("topic", weight=3.0)
    assert suite.weights == pytest.approx(
        {"topic": 2.0, "valence": 2 / 3, "parts": 2 / 3, "kind": 2 / 3}
    )
    trainer = toy_trainer(suite=suite, **EXACT, weighting="scale_invariant", tasks_per_step="all")
    trainer.train()
    for line in history(trainer):
        assert line["weight/topic"] == pytest.approx(2 / line["loss/topic"], rel=1e-5)
        assert line["weight/kind"] == pytest.approx(2 / 3 / line["loss/kind"], rel=1e-5)


def test_lagged_weights_are_those_of_the_losses_of_the_step_before(toy_trainer):
    trainer = toy_trainer(
        **EXACT, weighting="scale_invariant", weighting_losses="lagged", tasks_per_step="all"
    )
    trainer.train()
    lines = history(trainer)
    first = lines[0]
    assert first["weight/topic"] == pytest.approx(1 / first["loss/topic"], rel=1e-5)
    for before, line in itertools.pairwise(lines):
        assert line["weight/topic"] == pytest.approx(1 / before["loss/topic"], rel=1e-5)


def test_dropout_is_the_same_in_the_pass_without_gradients(toy_trainer):
    """Weights are made of the losses that the gradient is taken of."""
    trainer = toy_trainer(**EXACT, dropout=0.5, weighting="scale_invariant", tasks_per_step="all")
    trainer.train()
    for line in history(trainer):
        assert line["weight/valence"] == pytest.approx(1 / line["loss/valence"], rel=1e-5)
        assert line["loss"] == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_a_resumed_run_equals_the_uninterrupted_one(toy_trainer, name):
    settings = weighting_settings(name) | {"max_steps": 8, "dropout": 0.1, "logging_steps": 3}
    saving = {"save_strategy": "steps", "save_steps": 4}
    whole = toy_trainer("whole", **settings, **saving)
    whole.train()
    resumed = toy_trainer("resumed", **settings, **saving)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-4")
    assert history(resumed, 4) == history(whole, 4)
    expected = whole.model.state_dict()
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[key])


def test_a_second_training_starts_without_what_the_first_has_learned(toy_trainer):
    given = {"weighting": "uncertainty", "tasks_per_step": "all", "max_steps": 3}
    trainer = toy_trainer(**given)
    trainer.train()
    first = history(trainer)
    trainer.train()
    assert [history(trainer)[0][f"weight/{task}"] for task in trainer.suite] == [1.0] * 4
    assert first[-1]["weight/topic"] != 1.0


def test_a_checkpoint_of_another_weighting_is_refused(toy_trainer):
    saving = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    trainer = toy_trainer("old", **saving, weighting="uncertainty")
    trainer.train()
    other = toy_trainer("new", **saving, weighting="imtl_l")
    with pytest.raises(ValueError, match=r"`weighting` must be that of the checkpoint, .*uncert"):
        other.train(resume_from_checkpoint=f"{trainer.args.output_dir}/checkpoint-1")


def test_famo_sees_no_improvement_where_nothing_moved(toy_trainer):
    """The pass after a step has the dropout of the step, or noise would look like learning."""
    famo = {"name": "famo", "weight_decay": 0.0}
    given = {"weighting": famo, "tasks_per_step": "all", "dropout": 0.5, "max_steps": 4}
    still = toy_trainer("still", **given, learning_rate=0.0)
    still.train()
    assert still._loss_weights.state_dict()["state"]["parameter"] == pytest.approx([0.0] * 4)
    moving = toy_trainer("moving", **given)
    moving.train()
    assert min(map(abs, moving._loss_weights.state_dict()["state"]["parameter"])) > 0


def test_an_evaluation_at_the_start_is_the_first_that_is_learned_from(toy_trainer):
    settings = {**weighting_settings("validation_loss"), "max_steps": 6, "eval_on_start": True}
    saving = {"save_strategy": "steps", "save_steps": 4}
    whole = toy_trainer("whole", **settings, **saving)
    whole.train()
    first = whole.state.log_history[0]
    state = whole._loss_weights.state_dict()["state"]
    assert state["first"] == [first[f"eval_{task}_loss"] for task in whole.suite]
    resumed = toy_trainer("resumed", **settings, **saving)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-4")
    assert resumed._loss_weights.state_dict() == whole._loss_weights.state_dict()
    whole.train()
    assert whole._loss_weights.state_dict()["state"]["first"] != state["first"]


def test_what_a_search_sets_is_checked_when_training_begins(toy_trainer):
    trainer = toy_trainer(max_steps=2)
    trainer.args.weighting = "validation_loss"  # upstream does so, past all checks
    trainer.create_accelerator_and_postprocess()
    with pytest.raises(ValueError, match="`eval_strategy` must be 'steps' or 'epoch'"):
        trainer.train()


def test_a_weighting_that_gives_no_number_is_named(toy_trainer):
    @dataclass(frozen=True)
    class BrokenWeighting(Weighting):
        def weights(self, losses, tasks, state, context):
            return -torch.ones_like(losses)

    WEIGHTINGS.register("broken")(BrokenWeighting)
    trainer = toy_trainer(weighting="broken", max_steps=1)
    with pytest.raises(ValueError, match=r"not negative, but BrokenWeighting gave .* at step 1"):
        trainer.train()


def test_nothing_to_compare_is_refused(toy_trainer, toy_suite, toy_data):
    alone = ["topic", "valence"]
    data = {source: toy_data[source] for source in alone}
    with pytest.raises(ValueError, match=r"two tasks or more in a step .* 'gls' every step has"):
        toy_trainer(suite=toy_suite.subset(alone), data=data, weighting="gls")
    toy_trainer(weighting="gls")  # the source of names has two tasks
    absent = toy_suite
    for task in ("topic", "valence", "kind"):
        absent = absent.replace(task, weight=0.0)
    with pytest.raises(ValueError, match="'gls' every step has one"):
        toy_trainer(suite=absent, tasks_per_step="all", weighting="gls")
