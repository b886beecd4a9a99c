# SPDX-License-Identifier: Apache-2.0
"""Tasks whose rows are several texts: two ranks equal one.

Rows have two to four texts and some have no label, so that ranks have different numbers of
sequences, and some have no labelled row of a task.
"""

import choice_runs
import pytest
from ranks import run_ranks
from strategy_runs import assert_same_training

pytestmark = pytest.mark.distributed

CELLS = {
    "separate": {},
    "merged": {"batches": "merged"},
    "in_2": {"batches": "merged", "gradient_accumulation_steps": 2},
    "by_task": {"batches": "merged", "gradient_method": "upgrad"},
}


def settings(ranks, given):
    rows = 4 // ranks // given.get("gradient_accumulation_steps", 1)
    return {
        "per_device_train_batch_size": rows,
        "max_steps": 6,
        "weight_decay": 0.1,
        "adam_epsilon": 1e-3,
        **given,
    }


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp2", marks=pytest.mark.slow)])
def test_two_ranks_equal_one(tmp_path, strategy):
    on_two = {name: settings(2, given) for name, given in CELLS.items()}
    on_one = {"separate": settings(1, {}), "by_task": settings(1, CELLS["by_task"])}
    train = choice_runs.trained
    found = run_ranks(train, 2, str(tmp_path / "2"), strategy, on_two, timeout=500)
    (expected,) = run_ranks(train, 1, str(tmp_path / "1"), strategy, on_one)
    for name in CELLS:
        wanted = expected["by_task" if name == "by_task" else "separate"]
        assert_same_training(found[0][name], wanted, is_exact=True)
        assert found[1][name]["history"] == found[0][name]["history"], name
        scores = {key: value for key, value in found[0][name]["metrics"].items() if "_acc" in key}
        assert scores == pytest.approx({key: wanted["metrics"][key] for key in scores})
