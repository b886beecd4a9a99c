# SPDX-License-Identifier: Apache-2.0
"""Gradient methods over ranks: two ranks equal one, whatever the engine and the method.

Some labels are missing, so that a task can be on one rank alone, or absent from a step. Averages of
the ranks' own Gramians would not do: what is compared are the gradients of the whole step.
"""

from dataclasses import replace

import pytest
import strategy_runs
import toy_runs
from ranks import RankError, run_ranks
from toy_gradient_methods import NAMES, gradient_settings

from hf_mtl import TaskSuite
from hf_mtl.gradients import GRADIENT_METHODS

pytestmark = pytest.mark.distributed

CELLS = {
    "streaming": {"gradient_engine": "streaming"},
    "streaming-merged": {"gradient_engine": "streaming", "batches": "merged"},
    "retained-merged": {"gradient_engine": "retained", "batches": "merged"},
    "grouped": {"gradient_engine": "grouped"},
    "grouped-merged": {"gradient_engine": "grouped", "batches": "merged"},
    "accumulated": {"gradient_accumulation_steps": 2, "batches": "merged"},
    "two-draws": {"tasks_per_step": 2},
    "last-layer": {"gradient_scope": 1},
    "every-third": {"gradient_update_every": 3},
    "representation": {"gradient_engine": "representation", "tasks_per_step": 1},
    "with-weighting": {"weighting": "scale_invariant"},
}


def settings(ranks, **given):
    return {
        "gradient_method": "pcgrad",
        "tasks_per_step": "all",
        "max_steps": 20,
        "per_device_train_batch_size": 4 // ranks,
        "weight_decay": 0.1,
        "adam_epsilon": 1e-3,
        **given,
    }


def assert_two_equal_one(tmp_path, strategy, cells, dtype="float64"):
    """Parameters and log, to rounding; and the log of the ranks, exactly."""
    found, (expected,) = (
        run_ranks(
            strategy_runs.trained_cells,
            ranks,
            str(tmp_path / str(ranks)),
            strategy,
            {name: settings(ranks, dtype=dtype, **given) for name, given in cells.items()},
            timeout=500,
        )
        for ranks in (2, 1)
    )
    for name in cells:
        strategy_runs.assert_same_training(
            found[0][name], expected[name], is_exact=dtype == "float64"
        )
        assert found[1][name]["history"] == found[0][name]["history"], name


def cells_of(strategy):
    runs = CELLS
    if strategy == "fsdp2":
        runs = {name: given for name, given in CELLS.items() if not name.startswith("grouped")}
    return runs


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_equal_one_with_every_engine(tmp_path, strategy):
    assert_two_equal_one(tmp_path, strategy, cells_of(strategy))


def test_two_ranks_equal_one(tmp_path):
    """The cells that no plain step resembles."""
    cells = {name: CELLS[name] for name in ("streaming", "grouped-merged", "every-third")}
    assert_two_equal_one(tmp_path, "ddp", cells)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_equal_one_with_every_method(tmp_path, strategy):
    names = GRADIENT_METHODS.names() if strategy == "ddp" else NAMES
    cells = {name: gradient_settings(name) for name in names}
    assert_two_equal_one(tmp_path, strategy, cells)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_ranks_equal_one_where_micro_batches_are_compared(tmp_path, strategy):
    """Draws of 12, 7 and 10 rows, which do not go evenly into micro-batches and ranks."""
    modo = {"gradient_method": {"name": "modo", "gamma": 0.3}}
    cells = {
        "separate": modo | {"gradient_accumulation_steps": 2},
        "merged": modo | {"gradient_accumulation_steps": 2, "batches": "merged"},
        "dealt-in-turn": modo | {"gradient_accumulation_steps": 4},
        "three-parts": gradient_settings("sdmgrad"),
        "learned": gradient_settings("auto_lambda")
        | {"gradient_method": {"name": "auto_lambda", "learning_rate": 0.01}},
    }
    if strategy == "fsdp2":
        cells["merged"] |= {"gradient_engine": "streaming"}
    assert_two_equal_one(tmp_path, strategy, cells)


@pytest.mark.slow
def test_two_ranks_equal_one_where_whole_gradients_are_needed(tmp_path):
    cells = {
        "separate": {"gradient_method": "graddrop", "tasks_per_step": 2},
        "accumulated": {"gradient_method": "db_mtl", "gradient_accumulation_steps": 2},
        "grouped-merged": {
            "gradient_method": {"name": "moco", "gamma": 1.0},
            "gradient_engine": "grouped",
            "batches": "merged",
            "tasks_per_step": 2,
        },
    }
    assert_two_equal_one(tmp_path, "ddp", cells)


@pytest.mark.slow
@pytest.mark.deepspeed
@pytest.mark.parametrize("strategy", ["zero2", "zero3"])
def test_two_ranks_equal_one_by_representations_where_parameters_are_split(tmp_path, strategy):
    # ZeRO-3 cannot go through a pooler twice.
    heads = {} if strategy == "zero2" else {"suite": without_pooler()}
    cells = {"representation": CELLS["representation"] | heads}
    assert_two_equal_one(tmp_path, strategy, cells, dtype="float32")


def without_pooler():
    pooled = {"name": "pooled", "pooling": "mean", "dropout": 0.0}
    return TaskSuite(
        {
            name: spec if name == "parts" else replace(spec, head=pooled)
            for name, spec in toy_runs.SUITE.items()
        }
    )


@pytest.mark.slow
@pytest.mark.deepspeed
def test_a_pooler_that_is_split_is_refused(tmp_path):
    with pytest.raises(RankError, match="read the pooler of BertModel"):
        run_ranks(
            strategy_runs.trained,
            2,
            str(tmp_path),
            "zero3",
            **settings(2, **CELLS["representation"], dtype="float32"),
        )
