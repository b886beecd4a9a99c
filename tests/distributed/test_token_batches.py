# SPDX-License-Identifier: Apache-2.0
"""Two ranks with half of the tokens each train as one with all of them."""

import tempfile

import pytest
import strategy_runs
from ranks import run_ranks

pytestmark = pytest.mark.distributed

SETTINGS = {"max_steps": 6, "tasks_per_step": 2, "dtype": "float64"}


def test_two_ranks_train_as_one():
    with tempfile.TemporaryDirectory() as folder:
        first, _ = run_ranks(
            strategy_runs.trained_cells,
            2,
            f"{folder}/2",
            "ddp",
            {"run": {**SETTINGS, "batch_tokens": 9}},
        )
        (expected,) = run_ranks(
            strategy_runs.trained_cells,
            1,
            f"{folder}/1",
            "ddp",
            {"run": {**SETTINGS, "batch_tokens": 18}},
        )
    strategy_runs.assert_same_training(first["run"], expected["run"], is_exact=True)
