# SPDX-License-Identifier: Apache-2.0
"""Rates and times of tasks in training: what moves, what is logged, how a run goes on."""

from dataclasses import replace

import pytest
import torch
from toy_runs import history
from transformers import TrainerCallback

from hf_mtl import MultiTaskTrainer
from hf_mtl.tasks import TaskSuite

ALL = {"tasks_per_step": "all", "max_steps": 8, "weight_decay": 0.1}


def rates(trainer):
    """Learning rate of each parameter by name, before any decay."""
    trainer.create_optimizer()
    name_by_id = {id(each): name for name, each in trainer.model.named_parameters()}
    groups = trainer.optimizer.param_groups
    return {name_by_id[id(each)]: group for group in groups for each in group["params"]}


def with_schedule(suite, **schedules):
    return TaskSuite(
        {task: spec.replace(schedule=schedules.get(task)) for task, spec in suite.items()}
    )


def head_of(trainer, task):
    return torch.cat([each.detach().flatten() for each in trainer.model.heads[task].parameters()])


class Snapshots:
    """Heads after each step."""

    def __init__(self, trainer, task):
        self.values = [head_of(trainer, task)]
        own = self

        class Keep(TrainerCallback):
            def on_step_end(self, args, state, control, **kwargs):
                own.values.append(head_of(trainer, task))

        trainer.add_callback(Keep())

    @property
    def moved(self):
        pairs = zip(self.values, self.values[1:], strict=False)
        return [not torch.equal(a, b) for a, b in pairs]


def test_heads_and_layers_have_rates_and_decay_of_their_own(toy_trainer, toy_suite):
    suite = toy_suite.replace("topic", learning_rate=0.5, weight_decay=0.02)
    trainer = toy_trainer(
        suite=suite, **ALL, learning_rate=1e-2, head_learning_rate=0.1, layer_decay=0.5
    )
    found = rates(trainer)
    expected = {
        "heads.topic.model.classifier.weight": (0.5, 0.02),
        "heads.topic.model.classifier.bias": (0.5, 0.0),
        "heads.kind.model.classifier.weight": (0.1, 0.1),
        "backbone.pooler.dense.weight": (1e-2, 0.1),
        "backbone.encoder.layer.1.output.dense.weight": (5e-3, 0.1),
        "backbone.encoder.layer.0.output.dense.bias": (2.5e-3, 0.0),
        "backbone.embeddings.word_embeddings.weight": (1.25e-3, 0.1),
    }
    assert {n: (found[n]["lr"], found[n]["weight_decay"]) for n in expected} == {
        name: pytest.approx(value) for name, value in expected.items()
    }


def test_without_rates_of_their_own_the_groups_are_upstreams(toy_trainer):
    trainer = toy_trainer(**ALL)
    trainer.create_optimizer()
    assert [group["weight_decay"] for group in trainer.optimizer.param_groups] == [0.1, 0.0]


def test_the_log_shows_the_rate_that_was_set_and_those_of_heads(toy_trainer, toy_suite):
    suite = toy_suite.replace("topic", learning_rate=0.5)
    trainer = toy_trainer(suite=suite, **ALL, layer_decay=0.5)
    trainer.train()
    trainer.create_optimizer()  # once there is one, it stays
    assert trainer._first_rate == 0.5
    plain = toy_trainer("plain", **ALL)
    plain.train()
    logged = [line for line in trainer.state.log_history if "loss" in line]
    assert [line["learning_rate"] for line in logged] == pytest.approx(
        [line["learning_rate"] for line in history(plain)]
    )
    assert logged[4]["learning_rate/topic"] == pytest.approx(logged[4]["learning_rate"] * 50)
    assert "learning_rate/kind" not in logged[4]


@pytest.mark.parametrize("batches", ["separate", "merged"])
def test_a_task_is_absent_outside_of_its_time(toy_trainer, toy_suite, batches):
    suite = with_schedule(toy_suite, topic={"start": 0.25, "stop": 0.75})
    trainer = toy_trainer(suite=suite, **ALL, batches=batches)
    snapshots = Snapshots(trainer, "topic")
    trainer.train()
    is_there = [False, False, True, True, True, True, False, False]
    assert snapshots.moved == is_there
    assert ["loss/topic" in line for line in history(trainer)] == is_there


def test_weights_rise_and_bend_and_are_logged(toy_trainer, toy_suite):
    suite = with_schedule(
        toy_suite,
        topic={"warmup": 0.5},
        kind={"weights": [{"at": 0.0, "weight": 2.0}, {"at": 1.0, "weight": 0.0}]},
    )
    trainer = toy_trainer(suite=suite, **ALL)
    trainer.train()
    middles = [(step + 0.5) / 8 for step in range(8)]
    logged = history(trainer)
    assert [line["weight/topic"] for line in logged] == pytest.approx(
        [min(1.0, at / 0.5) for at in middles]
    )
    assert [line["weight/kind"] for line in logged] == pytest.approx([2 - 2 * at for at in middles])


@pytest.mark.parametrize("method", [None, "upgrad"])
def test_a_frozen_head_keeps_still_while_its_task_trains_the_backbone(
    toy_trainer, toy_suite, method
):
    suite = with_schedule(toy_suite, topic={"unfreeze": 0.25, "freeze": 0.75})
    trainer = toy_trainer(suite=suite, **ALL, gradient_method=method)
    snapshots = Snapshots(trainer, "topic")
    trainer.train()
    assert snapshots.moved == [False, False, True, True, True, True, False, False]
    assert all("loss/topic" in line for line in history(trainer))


def test_rows_that_would_be_drawn_for_nothing_are_refused(toy_trainer, toy_suite):
    suite = with_schedule(toy_suite, topic={"start": 0.5})
    with pytest.raises(ValueError, match=r"between 0 and 0.5 .* none on 'topic'.* for nothing"):
        toy_trainer(suite=suite, max_steps=8)
    # The other task of the source is there.
    toy_trainer(suite=with_schedule(toy_suite, kind={"start": 0.5}), max_steps=8)


def test_a_resumed_run_goes_on_in_the_schedule(toy_trainer, toy_suite):
    suite = with_schedule(toy_suite, topic={"start": 0.4, "warmup": 0.3, "freeze": 0.8})
    settings = {**ALL, "suite": suite, "layer_decay": 0.8, "save_strategy": "steps"}
    whole = toy_trainer("whole", **settings, save_steps=3)
    whole.train()
    resumed = toy_trainer("resumed", **settings)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-3")
    assert history(resumed, 3) == history(whole, 3)
    longer = toy_trainer("longer", **{**settings, "max_steps": 9})
    with pytest.raises(ValueError, match="`training_steps` was 8 and is 9"):
        longer.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-3")


@pytest.mark.parametrize("schedule", [{"warmup": 1.0}, {"freeze": 0.5}])
def test_a_resume_with_another_length_is_refused_whatever_is_scheduled(
    toy_trainer, toy_suite, schedule
):
    settings = {**ALL, "suite": with_schedule(toy_suite, topic=schedule), "save_strategy": "steps"}
    whole = toy_trainer("whole", **settings, save_steps=4)
    whole.train()
    longer = toy_trainer("longer", **{**settings, "max_steps": 16})
    with pytest.raises(ValueError, match="`training_steps` was 8 and is 16"):
        longer.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-4")


def with_optimizer(trainer, **given):
    """A trainer like that one, with an optimizer that the user made."""
    optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.1)
    args = replace(trainer.args, lr_scheduler_type="constant", **given)
    return MultiTaskTrainer(
        trainer.model,
        args,
        train_dataset=trainer.train_dataset,
        eval_dataset=trainer.eval_dataset,
        optimizers=(optimizer, None),
    )


def test_an_optimizer_of_the_users_own_keeps_its_rate_in_the_log(toy_trainer):
    trainer = with_optimizer(toy_trainer(**ALL))
    trainer.train()
    assert history(trainer)[-1]["learning_rate"] == 0.1


def test_rates_of_heads_beside_an_optimizer_of_the_users_own_are_refused(toy_trainer):
    with pytest.raises(ValueError, match="`optimizers` must be left out where heads or layers"):
        with_optimizer(toy_trainer(**ALL), head_learning_rate=0.5)


def test_a_rate_that_follows_a_metric_is_logged_as_it_was_set(toy_trainer):
    trainer = toy_trainer(
        **ALL,
        learning_rate=1e-3,
        head_learning_rate=0.5,
        layer_decay=0.5,
        lr_scheduler_type="reduce_lr_on_plateau",
        eval_strategy="steps",
        eval_steps=4,
    )
    trainer.train()
    (first, *_) = [line for line in trainer.state.log_history if "loss" in line]
    assert first["learning_rate"] == pytest.approx(1e-3)
    assert first["learning_rate/topic"] == pytest.approx(0.5)


def test_a_task_that_gets_no_better_is_trained_no_more(toy_trainer):
    settings = {
        **ALL,
        "learning_rate": 1e-12,  # nothing ever gets better
        "eval_strategy": "steps",
        "eval_steps": 1,
        "save_strategy": "steps",
        "save_steps": 1,
        "task_patience": 2,
    }
    trainer = toy_trainer("whole", **settings)
    trainer.train()
    assert trainer.state.global_step == 3  # the first evaluation is the best one
    for step in (2, 3):  # before the run ended, and behind its end
        resumed = toy_trainer("resumed", **settings, overwrite_output_dir=True)
        resumed.train(resume_from_checkpoint=f"{trainer.args.output_dir}/checkpoint-{step}")
        assert resumed.state.global_step == 3


def test_patience_needs_evaluations_of_every_task(toy_trainer):
    with pytest.raises(ValueError, match="`eval_strategy` must be 'steps' or 'epoch' with `task_"):
        toy_trainer(task_patience=2)
    with pytest.raises(ValueError, match="`metric_for_best_model` must be given with `early_stop"):
        toy_trainer(early_stopping_patience=2, eval_strategy="epoch")


def test_an_evaluation_compares_with_baselines(toy_trainer):
    trainer = toy_trainer(**ALL, baseline_scores={"topic": 0.5})
    metrics = trainer.evaluate()
    assert metrics["eval_delta_m"] == pytest.approx((metrics["eval_topic_accuracy"] - 0.5) / 0.5)
    with pytest.raises(KeyError, match="Did you mean 'topic'"):
        toy_trainer(**ALL, baseline_scores={"topc": 0.5})
