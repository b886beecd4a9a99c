# SPDX-License-Identifier: Apache-2.0
"""Small runs of a task on hidden tokens beside tasks on texts."""

from pathlib import Path
from typing import Any

import torch
import toy_runs
from datasets import Dataset
from strategy_runs import parameters, settings_on_ranks
from transformers import PreTrainedTokenizerFast

from hf_mtl import MultiTaskTrainer, TaskSpec, TaskSuite

__all__ = ["SUITE", "datasets", "masked_trainer", "masking_tokenizer", "trained"]

HALF = {"mask_probability": 0.5}
SUITE = TaskSuite(
    {
        "hidden": TaskSpec("masked-lm", options=HALF),
        "topic": toy_runs.SUITE["topic"],
        "valence": toy_runs.SUITE["valence"],
    }
)


def masking_tokenizer() -> PreTrainedTokenizerFast:
    """The toy tokenizer, which hides tokens behind a question mark."""
    tokenizer = toy_runs.toy_tokenizer()
    tokenizer.mask_token = "?"
    return tokenizer


def datasets() -> dict[str, Dataset]:
    """Sources of 12, 12 and 7 rows."""
    toy = toy_runs.toy_datasets()
    texts = ["the film was very good .", "a bad book !", "Ada Byron", "Bell Labs Inc was great"]
    hidden = Dataset.from_dict({"text": texts * 3})
    return {"hidden": hidden, "topic": toy["topic"], "valence": toy["valence"]}


def masked_trainer(output_dir: str | Path, **given: Any) -> MultiTaskTrainer:
    """A trainer of these tasks; all start from the same weights."""
    settings: dict[str, Any] = {
        "suite": SUITE,
        "data": datasets(),
        "tasks_per_step": "all",
        "max_steps": 4,
    }
    settings["processing_class"] = masking_tokenizer()
    return toy_runs.toy_trainer(str(output_dir), **settings | given)


def trained(output_dir: str, strategy: str, batch_size: int) -> dict[str, Any]:
    """Parameters, losses and metrics that a run ends with, in float64."""
    settings = settings_on_ranks(strategy) | {"per_device_train_batch_size": batch_size}
    trainer = masked_trainer(output_dir, dtype=torch.float64, adam_epsilon=1e-3, **settings)
    trainer.train()
    return {
        "parameters": parameters(trainer),
        "history": toy_runs.history(trainer),
        "metrics": trainer.evaluate(),
    }
