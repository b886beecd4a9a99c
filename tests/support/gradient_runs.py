# SPDX-License-Identifier: Apache-2.0
"""Runs of the toy tasks with gradient methods, to be compared."""

from typing import Any

import torch

from hf_mtl import MultiTaskTrainer

__all__ = ["EXACT", "assert_same_parameters", "trained"]

EXACT = {"dtype": torch.float64, "max_steps": 6, "tasks_per_step": "all", "adam_epsilon": 1e-3}


def trained(toy_trainer: Any, name: str, **settings: Any) -> MultiTaskTrainer:
    """A trainer that has trained for a few steps, in float64."""
    trainer: MultiTaskTrainer = toy_trainer(name, **EXACT | settings)
    trainer.train()
    return trainer


def assert_same_parameters(found: MultiTaskTrainer, expected: MultiTaskTrainer) -> None:
    """Every parameter is equal, to rounding."""
    wanted = expected.model.state_dict()
    for name, value in found.model.state_dict().items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-9, atol=1e-12)
