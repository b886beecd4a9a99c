# SPDX-License-Identifier: Apache-2.0
"""Runs that are killed, told to leave, or out of disk, and what they drew and computed until then.

Functions that a process of its own can import and run; see `ranks`.
"""

import errno
import json
import multiprocessing
import os
import resource
import signal
from pathlib import Path
from typing import Any

import torch
import torch.utils.data._utils.worker
from strategy_runs import parameters, strategy_settings
from toy_runs import history, toy_trainer
from toy_streams import streaming_trainer
from transformers import TrainerCallback

__all__ = [
    "train",
    "train_and_die_in_step",
    "train_and_die_while_saving",
    "train_and_get_signal",
    "train_with_little_disk",
    "train_with_failing_rank",
]


class DrawLog(TrainerCallback):
    """Writes down the rows of every micro-batch that a step took, one line a step."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.trainer: Any = None
        self.rows: list[Any] = []

    def watch(self, trainer: Any) -> None:
        """Has the trainer's batches recorded."""
        self.trainer = trainer
        inner = trainer.get_batch_samples

        def recorded(*args: Any) -> Any:
            micro_batches, step = inner(*args)
            self.rows = [fingerprint(each) for each in micro_batches]
            return micro_batches, step

        trainer.get_batch_samples = recorded

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps([state.global_step, self.rows]) + "\n")


def fingerprint(micro_batch: Any) -> list[Any]:
    """Inputs and labels of a micro-batch as plain values: what was drawn, in which order."""
    return [
        {
            "inputs": forward["inputs"]["input_ids"].tolist(),
            "labels": {task: repr(labels) for task, labels in forward["labels"].items()},
        }
        for forward in micro_batch["forwards"]
    ]


class KillIn(TrainerCallback):
    """Ends the process in the middle of a step, as a machine that goes down would."""

    def __init__(self, step: int, how: int = signal.SIGKILL) -> None:
        self.step = step
        self.how = how

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step + 1 == self.step:
            if self.how == signal.SIGTERM:  # as schedulers do it
                for worker in multiprocessing.active_children():
                    os.kill(int(worker.pid or 0), self.how)
            os.kill(os.getpid(), self.how)


def outcome(trainer: Any) -> dict[str, Any]:
    """What two runs have in common that are the same run."""
    return {
        "parameters": parameters(trainer),
        "history": history(trainer),
        "best": trainer.state.best_model_checkpoint,
        "steps": trainer.state.global_step,
    }


def train(
    output_dir: str,
    *,
    draws: str | None = None,
    resume: str | bool | None = None,
    callbacks: Any = (),
    strategy: str | None = None,
    streamed: bool = False,
    **given: Any,
) -> dict[str, Any]:
    """A run, from the start or from a checkpoint."""
    if multiprocessing.parent_process() is not None:
        # Workers of a killed run look after their parent more often, and let go of its pipe.
        torch.utils.data._utils.worker.MP_STATUS_CHECK_INTERVAL = 0.2
    rank = os.environ.get("RANK", "0")
    watching = [] if draws is None else [DrawLog(Path(f"{draws}.{rank}"))]
    settings = {} if strategy is None else strategy_settings(strategy)
    settings |= {"callbacks": [*watching, *callbacks]}
    if streamed:
        trainer = streaming_trainer(output_dir, rows_of_epoch=24, **settings, **given)
    else:
        trainer = toy_trainer(output_dir, **settings, **given)
    for each in watching:
        each.watch(trainer)
    trainer.train(resume_from_checkpoint=resume)
    return outcome(trainer)


def train_and_die_in_step(output_dir: str, step: int, **given: Any) -> Any:
    """A run that is killed within a step."""
    return train(output_dir, callbacks=[KillIn(step)], **given)


def train_and_get_signal(output_dir: str, step: int, rank: int = 0, **given: Any) -> Any:
    """A run of which one rank is told to leave within a step, twice."""
    callbacks = []
    if int(os.environ.get("RANK", "0")) == rank:
        callbacks = [KillIn(step, signal.SIGTERM), KillIn(step, signal.SIGTERM)]
    return train(output_dir, callbacks=callbacks, enable_jit_checkpoint=True, **given)


def train_and_die_while_saving(output_dir: str, call: int, where: str, **given: Any) -> Any:
    """A run that is killed at the n-th use of a function that saving needs.

    Args:
        output_dir: Its folder.
        call: Number of the call, from 1.
        where: `"torch.save"`, `"os.rename"` or `"shutil.rmtree"`.
        given: Arguments of `train`.
    """
    on_call(where, call, lambda: os.kill(os.getpid(), signal.SIGKILL))
    return train(output_dir, **given)


def train_with_failing_rank(output_dir: str, call: int, rank: int, **given: Any) -> Any:
    """A run of which one rank finds the disk full at its n-th `torch.save`."""

    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if int(os.environ.get("RANK", "0")) == rank:
        on_call("torch.save", call, fail)
    return train(output_dir, **given)


def train_with_little_disk(output_dir: str, num_bytes: int, **given: Any) -> Any:
    """A run that may write no file larger than a number of bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails, and does not kill
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))
    return train(output_dir, **given)


def on_call(where: str, call: int, act: Any) -> None:
    """Has something done at the n-th call of a function, before the function runs."""
    modules = {"torch": torch, "os": os}
    module_name, name = where.split(".")
    module = modules.get(module_name) or __import__(module_name)
    inner = getattr(module, name)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            act()
        return inner(*args, **kwargs)

    setattr(module, name, counted)
