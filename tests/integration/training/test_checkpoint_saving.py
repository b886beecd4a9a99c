# SPDX-License-Identifier: Apache-2.0
"""A checkpoint is saved whole or not at all, whatever happens meanwhile."""

import json
from pathlib import Path
from types import SimpleNamespace

import interrupted_runs
import numpy as np
import pytest
from ranks import run_ranks, start_ranks
from transformers import TrainerCallback

from hf_mtl.training.checkpoints import RunState, SavingError

SAVING = {"max_steps": 6, "save_strategy": "steps", "save_steps": 2}


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def assert_goes_on_as_if_nothing_had_happened(folder, tmp_path, **settings):
    """The run in `folder`, resumed, ends as a run that was never interrupted."""
    whole = interrupted_runs.train(str(tmp_path / "whole"), **SAVING, **settings)
    resumed = interrupted_runs.train(folder, resume=True, **SAVING, **settings)
    assert resumed["history"] == whole["history"]
    for name, value in whole["parameters"].items():
        assert np.array_equal(value, resumed["parameters"][name]), name
    assert not [name for name in names(folder) if name.startswith("_")]


# Calls of the second checkpoint: `torch.save` runs four times for each, `os.rename` once, and once
# more where an older one is removed.
@pytest.mark.parametrize(
    ("where", "call", "left"),
    [
        ("torch.save", 5, ["_saving-checkpoint-4", "checkpoint-2"]),
        ("torch.save", 8, ["_saving-checkpoint-4", "checkpoint-2"]),
        ("os.rename", 2, ["_saving-checkpoint-4", "checkpoint-2"]),
        ("os.rename", 3, ["checkpoint-2", "checkpoint-4"]),
        ("shutil.rmtree", 6, ["_removed-checkpoint-2", "checkpoint-4"]),
    ],
)
@pytest.mark.distributed
def test_a_kill_while_saving_leaves_a_checkpoint_to_go_on_from(tmp_path, where, call, left):
    folder = str(tmp_path / "run")
    settings = {"dropout": 0.1, "save_total_limit": 1}
    [run] = start_ranks(
        interrupted_runs.train_and_die_while_saving, 1, folder, call, where, **SAVING, **settings
    )
    assert run.exit_code == -9
    assert names(folder) == left
    assert_goes_on_as_if_nothing_had_happened(folder, tmp_path, **settings)


@pytest.mark.distributed
def test_a_kill_while_a_checkpoint_is_replaced_leaves_the_old_one(tmp_path):
    folder = str(tmp_path / "run")
    interrupted_runs.train(folder, **SAVING)
    [run] = start_ranks(
        interrupted_runs.train_and_die_while_saving,
        1,
        folder,
        2,  # the first rename takes the old one away, the second puts the new one in its place
        "os.rename",
        resume=f"{folder}/checkpoint-2",
        **SAVING,
    )
    assert run.exit_code == -9
    left = ["_replaced-checkpoint-4", "_saving-checkpoint-4", "checkpoint-2", "checkpoint-6"]
    assert names(folder) == left
    assert_goes_on_as_if_nothing_had_happened(folder, tmp_path)
    assert names(folder) == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]


@pytest.mark.distributed
def test_a_full_disk_is_a_clear_error_and_costs_no_checkpoint(tmp_path):
    folder = str(tmp_path / "run")
    start_ranks(interrupted_runs.train_and_die_in_step, 1, folder, 4, **SAVING)
    size = (tmp_path / "run/checkpoint-2/model.safetensors").stat().st_size
    for limit in (size // 2, size + 100):  # fails for the weights, or for the optimizer's state
        [run] = start_ranks(
            interrupted_runs.train_with_little_disk, 1, folder, limit, resume=True, **SAVING
        )
        assert "checkpoint-4' must be saved whole, but the disk is full or a limit" in run.error
        assert f"The last good one is {folder}/checkpoint-2. Make room or choose" in run.error
        assert names(folder) == ["checkpoint-2"]
    assert_goes_on_as_if_nothing_had_happened(folder, tmp_path)


@pytest.mark.distributed
@pytest.mark.parametrize(("rank", "call"), [(0, 6), (1, 2)])
def test_a_rank_that_cannot_save_stops_all(tmp_path, rank, call):
    """Rank 0 saves four files a checkpoint, and rank 1 its random numbers."""
    folder = str(tmp_path / "run")
    runs = start_ranks(
        interrupted_runs.train_with_failing_rank, 2, folder, call, rank, timeout=60, **SAVING
    )
    for run in runs:
        assert "checkpoint-4' must be saved whole, but the disk is full or a limit" in run.error
        assert f"The last good one is {folder}/checkpoint-2." in run.error
    assert names(folder) == ["checkpoint-2"]
    resumed = run_ranks(interrupted_runs.train, 2, folder, resume=True, **SAVING)
    assert resumed[0]["steps"] == 6


def test_another_failure_is_told_with_its_cause(toy_trainer, monkeypatch):
    trainer = toy_trainer(**SAVING)
    monkeypatch.setattr(trainer, "_save_rng_state", lambda folder: Path(folder, "no/file").touch())
    with pytest.raises(SavingError, match=r"saving failed .FileNotFoundError.*no earlier") as e:
        trainer.train()
    assert isinstance(e.value.__cause__, FileNotFoundError)
    assert names(trainer.args.output_dir) == []


def test_the_best_checkpoint_is_named_by_its_place_and_kept(toy_trainer):
    trainer = toy_trainer(
        **SAVING | {"max_steps": 10},
        eval_strategy="steps",
        eval_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        save_total_limit=2,
        learning_rate=1.0,  # so that it gets worse
    )
    trainer.train()
    best = Path(trainer.state.best_model_checkpoint)
    assert best.parent == Path(trainer.args.output_dir)
    assert best.name != "checkpoint-10"
    assert names(trainer.args.output_dir) == ["checkpoint-10", best.name]
    for folder in Path(trainer.args.output_dir).glob("checkpoint-*"):
        state = json.loads((folder / "trainer_state.json").read_text())
        assert Path(state["best_model_checkpoint"]).parent == Path(trainer.args.output_dir)


def test_a_checkpoint_is_in_its_place_when_callbacks_hear_of_it(toy_trainer):
    class Look(TrainerCallback):
        def __init__(self):
            self.seen = []

        def on_save(self, args, state, control, **kwargs):
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            self.seen.append(RunState.read(folder).step)

    look = Look()
    toy_trainer(**SAVING, callbacks=[look]).train()
    assert look.seen == [2, 4, 6]


def test_what_is_pushed_is_in_its_place(toy_trainer, monkeypatch):
    trainer = toy_trainer(**SAVING)
    trainer.args.push_to_hub = True
    pushed = []
    monkeypatch.setattr(
        "transformers.Trainer._push_from_checkpoint",
        lambda self, folder: pushed.append((Path(folder).name, Path(folder).is_dir())),
    )
    monkeypatch.setattr(trainer, "_finish_current_push", lambda: None)
    trainer.train()
    assert pushed == [(f"checkpoint-{step}", True) for step in (2, 4, 6)]


def test_weights_alone_may_be_saved_and_cannot_be_resumed(toy_trainer):
    trainer = toy_trainer(**SAVING, save_only_model=True)
    trainer.train()
    assert names(trainer.args.output_dir) == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]
    with pytest.raises(ValueError, match=r"checkpoint-6' must hold .*lacks \['optimizer.pt"):
        toy_trainer(**SAVING).train(resume_from_checkpoint=True)


def test_trials_of_a_search_save_in_their_own_folders(toy_trainer):
    trainer = toy_trainer(**SAVING | {"max_steps": 1})
    trainer.train()
    trainer.hp_search_backend = "optuna"
    trainer.hp_name = lambda trial: f"run-{trial.number}"
    trainer._save_checkpoint(trainer.model, trial=SimpleNamespace(number=7))
    assert names(trainer.args.output_dir) == ["checkpoint-1", "run-7"]
    assert names(f"{trainer.args.output_dir}/run-7") == ["checkpoint-1"]


def test_upstream_still_saves_through_the_hooks_that_are_overridden(toy_trainer, monkeypatch):
    """A release that asked another hook for its folder would write beside the staging folder."""
    trainer = toy_trainer(**SAVING | {"max_steps": 2})
    asked = []
    inner = trainer.save_model
    monkeypatch.setattr(
        trainer, "save_model", lambda *args, **kwargs: (asked.append(args), inner(*args, **kwargs))
    )
    trainer.train()
    staging = f"{trainer.args.output_dir}/_saving-checkpoint-2/checkpoint-2"
    assert [args[0] for args in asked] == [staging]
