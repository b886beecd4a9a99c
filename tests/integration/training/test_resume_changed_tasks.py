# SPDX-License-Identifier: Apache-2.0
"""A run goes on after a task was added or removed: everything old keeps its optimizer state."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import toy_runs

from hf_mtl import MultiTaskModel, MultiTaskTrainer, MultiTaskTrainingArguments, TaskSpec
from hf_mtl.training.checkpoints import RunState
from hf_mtl.training.checkpoints.resuming import CurrentRun, check_resumable

SAVING = {"max_steps": 4, "save_strategy": "steps", "save_steps": 4}
NEW = TaskSpec("text-classification", columns={"text": "body", "label": "group"}, source="more")


@pytest.fixture
def checkpoint(toy_trainer):
    trainer = toy_trainer("old", **SAVING)
    trainer.train()
    return f"{trainer.args.output_dir}/checkpoint-4", trainer


@pytest.fixture
def resumed(checkpoint, toy_data, tmp_path):
    """Resumes the checkpoint with a changed model, and gives the trainer."""

    def resume(change, *, data=None, **given):
        model = MultiTaskModel.from_pretrained(checkpoint[0])
        change(model)
        defaults = {"max_steps": 8, "learning_rate": 1e-2, "use_cpu": True, "disable_tqdm": True}
        trainer = MultiTaskTrainer(
            model=model,
            args=MultiTaskTrainingArguments(
                output_dir=str(tmp_path / "new"),
                per_device_train_batch_size=4,
                logging_steps=1,
                **defaults | given,
            ),
            train_dataset={**toy_data, "more": toy_data["topic"]} if data is None else data,
        )
        trainer.train(resume_from_checkpoint=checkpoint[0])
        return trainer

    return resume


def states(trainer):
    return {
        name: {key: value.clone() for key, value in trainer.optimizer.state[parameter].items()}
        for name, parameter in trainer.model.named_parameters()
        if trainer.optimizer.state.get(parameter)
    }


@pytest.fixture
def watched(monkeypatch):
    """State of the optimizer right after loading, of the trainer that is made next."""
    seen = {}
    original = MultiTaskTrainer._load_optimizer_and_scheduler

    def loaded(self, folder):
        original(self, folder)
        if folder is not None:
            seen.update(states(self))
            seen["last_epoch"] = self.lr_scheduler.state_dict()["last_epoch"]

    monkeypatch.setattr(MultiTaskTrainer, "_load_optimizer_and_scheduler", loaded)
    return seen


def assert_equal_states(found, expected):
    assert found.keys() == expected.keys()
    for name, state in expected.items():
        assert all(torch.equal(found[name][key], value) for key, value in state.items()), name


def test_a_new_task_starts_fresh_and_the_others_go_on(checkpoint, resumed, watched):
    _, old = checkpoint
    trainer = resumed(lambda model: model.add_task("new", NEW), ignore_data_skip=True)
    assert watched.pop("last_epoch") == 4
    assert_equal_states(watched, states(old))
    assert not any(name.startswith("heads.new") for name in watched)
    assert trainer.state.global_step == 8
    lines = toy_runs.history(trainer)
    assert [line["step"] for line in lines[-4:]] == [5, 6, 7, 8]


def test_without_a_removed_task_the_others_go_on(checkpoint, resumed, watched, toy_data):
    _, old = checkpoint
    data = {name: rows for name, rows in toy_data.items() if name != "valence"}
    trainer = resumed(lambda model: model.remove_task("valence"), data=data, ignore_data_skip=True)
    del watched["last_epoch"]
    expected = {name: each for name, each in states(old).items() if "heads.valence" not in name}
    assert_equal_states(watched, expected)
    assert not any("valence" in name for name in trainer.model.state_dict())


def test_a_task_on_a_source_of_old_needs_no_new_epoch(checkpoint, resumed, watched, toy_data):
    spec = TaskSpec(
        "text-classification", columns={"text": "body", "label": "group"}, source="topic"
    )
    resumed(lambda model: model.add_task("again", spec), data=toy_data)
    del watched["last_epoch"]
    assert_equal_states(watched, states(checkpoint[1]))


def test_a_task_with_a_source_of_its_own_needs_a_new_epoch(resumed):
    message = r"`sources` was .*`ignore_data_skip=True` to start an epoch anew.*after `add_task`"
    with pytest.raises(ValueError, match=message):
        resumed(lambda model: model.add_task("new", NEW))


def test_another_backbone_is_refused_all_the_same(checkpoint, toy_trainer, toy_suite):
    suite = toy_suite.with_task("new", NEW)
    data = {**toy_runs.toy_datasets(), "more": toy_runs.toy_datasets()["topic"]}
    trainer = toy_trainer(suite=suite, data=data, ignore_data_skip=True, **SAVING)
    trainer.model.backbone.extra = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"lacks 2 tensors: backbone.extra.weight, backbone.extra"):
        trainer.train(resume_from_checkpoint=checkpoint[0])


@pytest.mark.parametrize(
    ("strategy", "ranks", "tasks", "words"),
    [
        ("deepspeed", 2, "all", r"number of ranks that it was saved on, 4 for .*, but there are 2"),
        ("deepspeed", 4, "fewer", r"under 'deepspeed' must go on with the tasks .*\['kind'\] were"),
        ("fsdp", 4, "fewer", r"under 'fsdp' must go on with the tasks .*Resume with DDP or on one"),
        ("replicated", 4, "all", r"strategy that it was saved under, 'fsdp', but .* 'replicated'"),
    ],
)
def test_what_a_strategy_cannot_do_is_refused(checkpoint, strategy, ranks, tasks, words):
    folder, trainer = Path(checkpoint[0]), checkpoint[1]
    saved_under = "deepspeed" if strategy == "deepspeed" else "fsdp"
    replace(RunState.read(folder), strategy=saved_under, world_size=4).write(folder)
    names = list(trainer.suite)[: -1 if tasks == "fewer" else None]
    is_zero = strategy == "deepspeed"
    run = CurrentRun(trainer._mixture_after, names, ranks, strategy, needs_same_ranks=is_zero)
    with pytest.raises(ValueError, match=words):
        check_resumable(folder, run, ignore_data_skip=False)


def test_fsdp_may_go_on_with_another_number_of_ranks(checkpoint):
    folder, trainer = Path(checkpoint[0]), checkpoint[1]
    replace(RunState.read(folder), strategy="fsdp", world_size=4).write(folder)
    run = CurrentRun(trainer._mixture_after, list(trainer.suite), world_size=2, strategy="fsdp")
    check_resumable(folder, run, ignore_data_skip=False)
