# SPDX-License-Identifier: Apache-2.0
"""Rates, schedules and weights of classes on two ranks are those on one, under every strategy."""

import tempfile

import pytest
import strategy_runs
import toy_runs
from ranks import run_ranks

pytestmark = pytest.mark.distributed

# Head of one frozen for a while, one that comes late, one with weights of classes in its mean.
SUITE = (
    toy_runs.SUITE.replace(
        "topic",
        schedule={"unfreeze": 0.2, "freeze": 0.7},
        learning_rate=3e-2,
        weight_decay=0.3,
    )
    .replace("valence", schedule={"start": 0.3, "warmup": 0.4, "stop": 0.9})
    .replace(
        "kind",
        labels=["company", "person"],
        loss={"name": "cross_entropy", "class_weights": {"person": 3.0}, "label_smoothing": 0.1},
    )
)
STRATEGIES = [
    pytest.param("ddp"),
    pytest.param("fsdp2", marks=pytest.mark.slow),
    *(
        pytest.param(name, marks=[pytest.mark.slow, pytest.mark.deepspeed])
        for name in ("zero1", "zero2", "zero3")
    ),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_ranks_train_as_one(strategy):
    is_zero = strategy.startswith("zero")
    settings = {
        "suite": SUITE,
        "tasks_per_step": "all",
        "max_steps": 10,
        "learning_rate": 1e-2,
        "layer_decay": 0.8,
        "weight_decay": 0.1,
        "adam_epsilon": 1e-3,
        "max_grad_norm": 0.0,  # ZeRO counts frozen heads in
        "dtype": "float32" if is_zero else "float64",
    }
    cells = {"run": {**settings, "per_device_train_batch_size": 2}}
    whole = {"run": {**settings, "per_device_train_batch_size": 4}}
    with tempfile.TemporaryDirectory() as folder:
        first, _ = run_ranks(strategy_runs.trained_cells, 2, f"{folder}/2", strategy, cells)
        (expected,) = run_ranks(strategy_runs.trained_cells, 1, f"{folder}/1", strategy, whole)
    if is_zero:
        for line in (*first["run"]["history"], *expected["run"]["history"]):
            del line["grad_norm"]
    strategy_runs.assert_same_training(first["run"], expected["run"], is_exact=not is_zero)
