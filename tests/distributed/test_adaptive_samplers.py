# SPDX-License-Identifier: Apache-2.0
"""Samplers that follow the run over ranks: all ranks draw the same, and what one rank would draw.

Some labels are missing, so that a task can be on one rank alone, or absent from a step.
"""

import pytest
import strategy_runs
from ranks import run_ranks
from toy_samplers import ADAPTIVE, sampler_settings

pytestmark = pytest.mark.distributed


def settings(name, ranks, dtype="float64"):
    return {
        **sampler_settings(name, update_every=3),
        "dtype": dtype,
        "max_steps": 13,
        "per_device_train_batch_size": 4 // ranks,
        "adam_epsilon": 1e-3,
    }


def assert_two_equal_one(tmp_path, names, strategy="ddp", dtype="float64"):
    on_two = {name: settings(name, 2, dtype) for name in names}
    on_one = {name: settings(name, 1, dtype) for name in names}
    train = strategy_runs.trained_cells
    found = run_ranks(train, 2, str(tmp_path / "2"), strategy, on_two, timeout=500)
    (expected,) = run_ranks(train, 1, str(tmp_path / "1"), strategy, on_one, timeout=500)
    for name in names:
        strategy_runs.assert_same_training(
            found[0][name], expected[name], is_exact=dtype == "float64"
        )
        assert found[1][name]["history"] == found[0][name]["history"], name


def test_two_ranks_equal_one_with_some(tmp_path):
    """By training losses, and by evaluations."""
    assert_two_equal_one(tmp_path, ["online_mixing", "stop_and_go"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "dtype"),
    [
        ("ddp", "float64"),
        ("fsdp2", "float64"),
        pytest.param("zero2", "float32", marks=pytest.mark.deepspeed),
    ],
)
def test_two_ranks_equal_one(tmp_path, strategy, dtype):
    assert_two_equal_one(tmp_path, ADAPTIVE, strategy, dtype)
