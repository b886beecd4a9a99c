# SPDX-License-Identifier: Apache-2.0
"""A run that is told to leave saves, ends with a code of its own, and goes on as if it had not."""

import signal
from pathlib import Path

import interrupted_runs
import numpy as np
import pytest
from ranks import run_ranks, start_ranks

from hf_mtl.training.checkpoints import EXIT_CODE, Preempted, RunState
from hf_mtl.training.checkpoints.preemption import PreemptionCallback

SETTINGS = {"dropout": 0.1, "max_steps": 6, "gradient_accumulation_steps": 2}


def assert_same(resumed, whole):
    assert resumed["history"] == whole["history"]
    for name, value in whole["parameters"].items():
        assert np.array_equal(value, resumed["parameters"][name]), name


@pytest.mark.distributed
@pytest.mark.parametrize("step", [1, 4])
def test_sigterm_saves_after_the_step_and_exits_with_75(tmp_path, step):
    """Nothing else is saved in this run, and the signal comes twice."""
    folder = str(tmp_path / "run")
    [run] = start_ranks(interrupted_runs.train_and_get_signal, 1, folder, step, **SETTINGS)
    assert run.exit_code == EXIT_CODE == 75
    assert [path.name for path in Path(folder).iterdir()] == [f"checkpoint-{step}"]
    whole = interrupted_runs.train(str(tmp_path / "whole"), **SETTINGS)
    assert_same(interrupted_runs.train(folder, resume=True, **SETTINGS), whole)


@pytest.mark.distributed
def test_workers_outlive_the_signal_that_they_get_too(tmp_path):
    folder = str(tmp_path / "run")
    settings = {**SETTINGS, "dataloader_num_workers": 2}
    [run] = start_ranks(interrupted_runs.train_and_get_signal, 1, folder, 2, **settings)
    assert run.exit_code == EXIT_CODE, run.error
    assert RunState.read(tmp_path / "run/checkpoint-2").step == 2


@pytest.mark.distributed
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_rank_stops_all_after_the_same_step(tmp_path, rank):
    folder = str(tmp_path / "run")
    runs = start_ranks(interrupted_runs.train_and_get_signal, 2, folder, 3, rank, **SETTINGS)
    assert [run.exit_code for run in runs] == [75, 75]
    assert [path.name for path in Path(folder).iterdir()] == ["checkpoint-3"]
    whole = run_ranks(interrupted_runs.train, 2, str(tmp_path / "whole"), **SETTINGS)
    resumed = run_ranks(interrupted_runs.train, 2, folder, resume=True, **SETTINGS)
    assert_same(resumed[0], whole[0])


class RaiseSignal(interrupted_runs.KillIn):
    """In this process."""

    def __init__(self, step):
        super().__init__(step, signal.SIGTERM)


def test_a_script_may_catch_it_and_the_signal_means_afterwards_what_it_meant(toy_trainer):
    before = signal.getsignal(signal.SIGTERM)
    trainer = toy_trainer(**SETTINGS, enable_jit_checkpoint=True, callbacks=[RaiseSignal(2)])
    assert signal.getsignal(signal.SIGTERM) == before
    with pytest.raises(Preempted) as leaving:
        trainer.train()
    assert leaving.value.code == 75
    assert signal.getsignal(signal.SIGTERM) == before
    assert trainer.state.global_step == 2


def test_evaluation_and_the_end_of_training_are_left_to_the_resumed_run(toy_trainer):
    """Upstream would remove the new checkpoint there, as it is not the best one."""
    settings = {
        **SETTINGS,
        "eval_strategy": "steps",
        "save_strategy": "steps",
        "eval_steps": 1,
        "save_steps": 1,
        "load_best_model_at_end": True,
        "save_total_limit": 1,
        "learning_rate": 1.0,
    }
    trainer = toy_trainer(**settings, enable_jit_checkpoint=True, callbacks=[RaiseSignal(4)])
    with pytest.raises(Preempted):
        trainer.train()
    last = Path(trainer.args.output_dir) / "checkpoint-4"
    assert RunState.read(last).step == 4
    assert [line["step"] for line in trainer.state.log_history if "eval_loss" in line] == [1, 2, 3]
    assert Path(trainer.state.best_model_checkpoint).is_dir()


def test_it_needs_checkpoints_to_go_on_from(toy_trainer):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="`save_only_model` must be False with `enable_jit_ch"):
        toy_trainer(max_steps=1, enable_jit_checkpoint=True, save_only_model=True)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_without_it_does_not_listen(toy_trainer):
    before = signal.getsignal(signal.SIGTERM)
    trainer = toy_trainer(max_steps=1)
    trainer.train()
    assert signal.getsignal(signal.SIGTERM) == before
    assert trainer.pop_callback(PreemptionCallback) is None


def test_nothing_is_saved_within_a_step(toy_trainer):
    """Upstream's callback answers to these events; a release may add another."""
    trainer = toy_trainer(max_steps=1, enable_jit_checkpoint=True)
    callback = trainer.pop_callback(PreemptionCallback)
    upstream = type(callback).__mro__[1]
    own = {name for name in vars(PreemptionCallback) if name.startswith("on_")}
    assert {name for name in vars(upstream) if name.startswith("on_")} == own
