# SPDX-License-Identifier: Apache-2.0
"""Small runs of tasks whose rows are several texts, beside tasks on texts and on words."""

from typing import Any

import torch
import toy_runs
from datasets import Dataset
from strategy_runs import parameters, settings_on_ranks

from hf_mtl import MultiTaskTrainer, TaskSpec, TaskSuite

__all__ = ["SUITE", "choice_datasets", "choice_trainer", "trained"]

SUITE = TaskSuite(
    {
        "ending": TaskSpec("multiple-choice", columns={"choices": "endings"}),
        "better": TaskSpec("pairwise-ranking", source="pairs"),
        "livelier": TaskSpec("pairwise-ranking", columns={"label": "livelier"}, source="pairs"),
        "valence": toy_runs.SUITE["valence"],
        "parts": toy_runs.SUITE["parts"],
    }
)


def choice_datasets() -> dict[str, Dataset]:
    """Sources of 9, 8, 7 and 10 rows, which have two to four texts; some labels are missing."""
    toy = toy_runs.toy_datasets()
    endings = [["good", "not bad !", "very dull"], ["dull", "great"], ["a", "Byron", "film", "."]]
    return {
        "ending": Dataset.from_dict(
            {
                "text": ["the film was", "a book is", "Ada"] * 3,
                "endings": endings * 3,
                "label": ["not bad !", "0", "1", "2", None, None, "0", "1", None],
            }
        ),
        "pairs": Dataset.from_dict(
            {
                "chosen": ["good", "great film", "not bad", "very good !"] * 2,
                "rejected": ["bad", "dull", "a very dull book", "bad , very bad ."] * 2,
                "livelier": ["chosen", None, "rejected", "chosen"] * 2,
            }
        ),
        "valence": toy["valence"],
        "names": toy["names"],
    }


def choice_trainer(output_dir: str, **given: Any) -> MultiTaskTrainer:
    """A trainer of these tasks; all start from the same weights."""
    defaults = {"suite": SUITE, "data": choice_datasets(), "tasks_per_step": "all"}
    return toy_runs.toy_trainer(output_dir, **defaults | given)


def trained(
    output_dir: str, strategy: str, cells: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Parameters, losses and metrics that each of several settings ends with, in float64."""
    found = {}
    for name, given in cells.items():
        settings = settings_on_ranks(strategy) | given
        trainer = choice_trainer(f"{output_dir}/{name}", dtype=torch.float64, **settings)
        trainer.train()
        found[name] = {
            "parameters": parameters(trainer),
            "history": toy_runs.history(trainer),
            "metrics": trainer.evaluate(),
        }
    return found
