# SPDX-License-Identifier: Apache-2.0
"""Single properties of runs on several ranks, found out inside of them."""

import math
import os
from typing import Any

import numpy as np
import torch
import toy_runs
from strategy_runs import parameters, settings_on_ranks, strategy_settings
from transformers import TrainerCallback, set_seed

__all__ = [
    "card_written",
    "finished_with_nonfinite_loss",
    "heads_moved",
    "losses_of_large_scores",
    "metrics_before_training",
    "resumed_without_shared_folder",
    "same_parameters_from_other_seeds",
    "trained_heads_only",
    "trained_on",
    "trained_with_and_without_pooler",
]


def card_written(output_dir: str) -> list[int]:
    """Ranks, told by each of them after the first has written the card."""
    trainer = toy_runs.toy_trainer(output_dir)
    trainer.create_model_card()
    return trainer.ranks.gather(trainer.ranks.rank)


def losses_of_large_scores(output_dir: str, strategy: str, precision: str) -> list[float]:
    """Loss of a regression whose scores are no numbers of bfloat16, before anything is learned."""
    data = toy_runs.toy_datasets()
    data["valence"] = data["valence"].map(lambda _: {"score": 1987.25})
    trainer = toy_runs.toy_trainer(
        output_dir,
        data=data,
        tasks_per_step="all",
        max_steps=2,
        learning_rate=1e-9,
        **({precision: True} if precision else {}),
        **strategy_settings(strategy),
    )
    trainer.train()
    metrics = trainer.evaluate()
    losses = [line["loss/valence"] for line in toy_runs.history(trainer)]
    return [*losses, metrics["eval_valence_loss"]]


def resumed_without_shared_folder(output_dir: str) -> None:
    """A run that is resumed where only the first rank sees its checkpoints."""
    settings = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    toy_runs.toy_trainer(f"{output_dir}/0", **settings).train()
    rank = os.environ["RANK"]
    trainer = toy_runs.toy_trainer(f"{output_dir}/{rank}", **settings)
    trainer.train(resume_from_checkpoint=True)


def trained_on(
    output_dir: str, strategy: str, rows: int, resume: bool = False, **given: Any
) -> dict[str, np.ndarray]:
    """Parameters after training with so many rows of a batch on this rank."""
    trainer = toy_runs.toy_trainer(
        output_dir,
        dtype=torch.float64,
        sampler="uniform",
        tasks_per_step=2,
        per_device_train_batch_size=rows,
        save_strategy="steps",
        save_steps=4,
        **settings_on_ranks(strategy),
        **given,
    )
    trainer.train(resume_from_checkpoint=resume or None)
    return parameters(trainer)


class HeadWatcher(TrainerCallback):
    """Notes at each step which heads have changed."""

    def __init__(self) -> None:
        self.trainer: Any = None
        self.moved: list[set[str]] = []
        self._before: dict[str, np.ndarray] = {}

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self._before = parameters(self.trainer)

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        after = parameters(self.trainer)
        changed = [name for name in after if not np.array_equal(after[name], self._before[name])]
        self.moved.append({name.split(".")[1] for name in changed if name.startswith("heads.")})
        self._before = after


def heads_moved(output_dir: str, strategy: str) -> list[tuple[set[str], set[str]]]:
    """Tasks present in each step, and tasks whose heads moved in it, as the first rank sees it."""
    watcher = HeadWatcher()
    trainer = toy_runs.toy_trainer(
        output_dir,
        sampler="round_robin",
        max_steps=7,
        weight_decay=0.5,
        callbacks=[watcher],
        **strategy_settings(strategy),
    )
    watcher.trainer = trainer
    trainer.train()
    lines = toy_runs.history(trainer)
    present = [{key[5:] for key in line if key.startswith("loss/")} for line in lines]
    return list(zip(present, watcher.moved, strict=True))


def trained_heads_only(output_dir: str) -> dict[str, np.ndarray]:
    """Parameters after training on a frozen backbone."""
    trainer = toy_runs.toy_trainer(
        output_dir,
        dtype=torch.float64,
        tasks_per_step="all",
        max_steps=4,
        per_device_train_batch_size=4 // int(os.environ.get("WORLD_SIZE", "1")),
    )
    trainer.model.backbone.requires_grad_(False)
    trainer.train()
    return parameters(trainer)


def same_parameters_from_other_seeds(output_dir: str, strategy: str) -> dict[str, np.ndarray]:
    """Parameters of this rank after training, whose heads began with values of its own."""
    trainer = toy_runs.toy_trainer(
        output_dir, tasks_per_step="all", max_steps=3, **strategy_settings(strategy)
    )
    set_seed(1 + trainer.args.process_index)
    for parameter in trainer.model.heads.parameters():
        torch.nn.init.normal_(parameter)
    trainer.train()
    return {
        name: (value.full_tensor() if hasattr(value, "full_tensor") else value).numpy()
        for name, value in trainer.model.state_dict().items()
    }


def metrics_before_training(output_dir: str, strategy: str) -> dict[str, float]:
    """What `evaluate` gives of a model that was not trained."""
    trainer = toy_runs.toy_trainer(output_dir, **strategy_settings(strategy))
    return trainer.evaluate()


class SpoiledHead(TrainerCallback):
    """Makes a head of one rank give NaN in one step."""

    def __init__(self, rank: int, step: int) -> None:
        self.rank, self.step = rank, step
        self.trainer: Any = None

    def _is_meant(self, state: Any) -> bool:
        return self.trainer.args.process_index == self.rank and state.global_step == self.step

    def on_step_begin(self, args: Any, state: Any, *rest: Any, **kwargs: Any) -> None:
        if self._is_meant(state):
            head = self.trainer.model.heads["valence"]
            self.hook = head.register_forward_hook(lambda *_: _[-1] * math.nan)

    def on_pre_optimizer_step(self, args: Any, state: Any, *rest: Any, **kwargs: Any) -> None:
        if self._is_meant(state):
            self.hook.remove()


def finished_with_nonfinite_loss(
    output_dir: str, strategy: str, rule: str, spoiled_rank: int, settings: Any = None
) -> dict[str, Any]:
    """Parameters and log of a run with a loss that is not finite at its third step."""
    spoiler = SpoiledHead(spoiled_rank, step=2)
    trainer = toy_runs.toy_trainer(
        output_dir,
        dtype=torch.float64,
        tasks_per_step="all",
        max_steps=5,
        on_nonfinite=rule,
        per_device_train_batch_size=4 // int(os.environ.get("WORLD_SIZE", "1")),
        callbacks=[spoiler],
        **settings_on_ranks(strategy),
        **(settings or {}),
    )
    spoiler.trainer = trainer
    trainer.train()
    skipped = [line.get("nonfinite/valence") for line in trainer.state.log_history]
    return {"parameters": parameters(trainer), "skipped": [each for each in skipped if each]}


def trained_with_and_without_pooler(output_dir: str, strategy: str) -> dict[str, Any]:
    """Parameters of runs in which a task on whole texts and one on words take turns."""
    tasks = {"topic": "topic", "parts": "names"}
    data = toy_runs.toy_datasets()
    found = {}
    for draws in (1, "all"):
        trainer = toy_runs.toy_trainer(
            f"{output_dir}/{draws}",
            suite=toy_runs.SUITE.subset(list(tasks)),
            data={source: data[source] for source in tasks.values()},
            dtype=torch.float64,
            tasks_per_step=draws,
            max_steps=8,
            adam_epsilon=1e-3,
            per_device_train_batch_size=4 // int(os.environ.get("WORLD_SIZE", "1")),
            **settings_on_ranks(strategy),
        )
        trainer.train()
        found[str(draws)] = parameters(trainer)
    return found
