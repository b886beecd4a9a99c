# SPDX-License-Identifier: Apache-2.0
"""Detached tasks on two ranks: steps without a gradient for the backbone equal those on one."""

import detached_runs
import pytest
from ranks import run_ranks
from strategy_runs import assert_same_training

pytestmark = pytest.mark.distributed


def cells(ranks):
    common = {"per_device_train_batch_size": 4 // ranks, "max_steps": 6, "adam_epsilon": 1e-3}
    return {
        "drawn": {**common, "sampler": "round_robin"},
        "all": {**common, "tasks_per_step": "all"},
        "merged": {**common, "tasks_per_step": "all", "batches": "merged"},
    }


def test_two_ranks_equal_one(tmp_path):
    found = run_ranks(detached_runs.trained, 2, str(tmp_path / "2"), cells(2), timeout=300)
    expected = detached_runs.trained(str(tmp_path / "1"), cells(1))
    for name, wanted in expected.items():
        assert_same_training(found[0][name], wanted, is_exact=True)
        assert found[1][name]["history"] == found[0][name]["history"], name
