# SPDX-License-Identifier: Apache-2.0
"""Sharded runs go on as if they had not stopped, also where a head has no optimizer state yet."""

import interrupted_runs
import numpy as np
import pytest
from ranks import run_ranks, start_ranks

from hf_mtl.training.checkpoints import RunState

pytestmark = pytest.mark.distributed

# One source a step: at the first checkpoint most heads have not been moved.
SETTINGS = {
    "dropout": 0.1,
    "max_steps": 5,
    "sampler": "round_robin",
    "per_device_train_batch_size": 2,
    "save_strategy": "steps",
    "save_steps": 1,
}


@pytest.mark.parametrize(
    "strategy",
    [
        "fsdp2",
        *(
            pytest.param(zero, marks=[pytest.mark.slow, pytest.mark.deepspeed])
            for zero in ("zero1", "zero2", "zero3")
        ),
    ],
)
def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path, strategy):
    folder = str(tmp_path / "run")
    settings = {**SETTINGS, "strategy": strategy}
    whole = run_ranks(interrupted_runs.train, 2, folder, **settings)
    saved = RunState.read(tmp_path / "run/checkpoint-1")
    assert saved.strategy == ("fsdp" if strategy == "fsdp2" else "deepspeed")
    assert saved.world_size == 2
    for step in (1, 4):
        resumed = run_ranks(
            interrupted_runs.train,
            2,
            folder,
            resume=f"{folder}/checkpoint-{step}",
            **settings,
        )
        for rank in range(2):
            expected = [line for line in whole[rank]["history"] if line["step"] > step]
            found = [line for line in resumed[rank]["history"] if line["step"] > step]
            assert found == expected
            for name, value in whole[rank]["parameters"].items():
                assert np.array_equal(resumed[rank]["parameters"][name], value), name


def test_a_checkpoint_of_another_strategy_is_refused(tmp_path):
    folder = str(tmp_path / "run")
    run_ranks(interrupted_runs.train, 2, folder, **SETTINGS, strategy="fsdp2")
    runs = start_ranks(interrupted_runs.train, 2, folder, resume=True, **SETTINGS)
    for run in runs:
        assert "under the strategy that it was saved under, 'fsdp', but the run is" in run.error
