# SPDX-License-Identifier: Apache-2.0
"""Small runs with detached tasks: one on a source of its own, one beside another task."""

from typing import Any

import torch
import toy_runs
from strategy_runs import parameters

from hf_mtl import TaskSuite

__all__ = ["SUITE", "trained"]

# The last forward of a step is that of a detached task.
SUITE = TaskSuite(
    {
        "topic": toy_runs.SUITE["topic"],
        "parts": toy_runs.SUITE["parts"],
        "kind": toy_runs.SUITE["kind"].replace(detached=True),
        "valence": toy_runs.SUITE["valence"].replace(detached=True),
    }
)


def trained(output_dir: str, cells: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Parameters and losses that each of several settings ends with, in float64."""
    found = {}
    for name, given in cells.items():
        trainer = toy_runs.toy_trainer(
            f"{output_dir}/{name}", **{"suite": SUITE, "dtype": torch.float64, **given}
        )
        trainer.train()
        found[name] = {"parameters": parameters(trainer), "history": toy_runs.history(trainer)}
    return found
