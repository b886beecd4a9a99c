# SPDX-License-Identifier: Apache-2.0
"""Weights of losses over ranks: two ranks equal one, whatever the weighting and the strategy.

Some labels are missing, so that a task can be on one rank alone, or absent from a step.
"""

import pytest
import strategy_runs
from ranks import run_ranks
from toy_weightings import weighting_settings

from hf_mtl.weighting import WEIGHTINGS

pytestmark = pytest.mark.distributed


def settings(name, ranks, dtype):
    return {
        **weighting_settings(name),
        "dtype": dtype,
        "max_steps": 8,
        "per_device_train_batch_size": 4 // ranks,
        "weight_decay": 0.1,
        "adam_epsilon": 1e-3,
    }


@pytest.mark.parametrize(
    ("strategy", "dtype"),
    [
        pytest.param("ddp", "float64", marks=pytest.mark.slow),
        pytest.param("fsdp2", "float64", marks=pytest.mark.slow),
        *(
            pytest.param(zero, "float32", marks=[pytest.mark.slow, pytest.mark.deepspeed])
            for zero in ("zero2", "zero3")
        ),
    ],
)
def test_two_ranks_equal_one(tmp_path, strategy, dtype):
    assert_two_equal_one(tmp_path, strategy, dtype, WEIGHTINGS.names())


def test_two_ranks_equal_one_with_some(tmp_path):
    """With weights from losses, from those after a step, and from none."""
    assert_two_equal_one(tmp_path, "ddp", "float64", ["gls", "famo", "uncertainty"])


def assert_two_equal_one(tmp_path, strategy, dtype, names):
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
