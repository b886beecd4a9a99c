# SPDX-License-Identifier: Apache-2.0
"""Several ranks equal one: parameters, losses and metrics after twenty steps.

Sources have 12, 7 and 10 rows, so that draws of 4, 6 and 9 rows end in short ones: some ranks and
micro-batches have no row of them. Half of the cells have missing labels, some of which leave a
task to one rank alone. With one draw a step the heads of the other sources are absent, and weight
decay and momentum would move them.
"""

import functools
import itertools
import tempfile

import numpy as np
import pytest
import strategy_runs
from ranks import run_ranks

pytestmark = pytest.mark.distributed

MIXTURES = {
    "all": {"tasks_per_step": "all"},
    "one": {"sampler": "proportional"},
    "two": {"sampler": "uniform", "tasks_per_step": 2},
}
# Rows of a batch on a rank, and micro-batches of a step.
CUTS = {"whole": (2, 1), "in_3": (1, 3)}


def cell_settings(cell, world_size):
    """Training arguments of a cell on so many ranks; the rows of a step are those of two ranks."""
    labels, mixture, batches, cut, ranks = cell.split("-")
    rows, accumulation = CUTS[cut]
    if world_size == 1:
        rows, accumulation = rows * accumulation * int(ranks), 1
    return {
        "complete": labels == "complete",
        **MIXTURES[mixture],
        "batches": batches,
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": accumulation,
        "max_steps": 20,
        "weight_decay": 0.1,
        "learning_rate": 1e-2,
        # Larger than usual, so that rounding of gradients near 0 is not blown up.
        "adam_epsilon": 1e-3,
    }


def cells(ranks):
    parts = (("complete", "partial"), MIXTURES, ("separate", "merged"), CUTS)
    return ["-".join((*cell, str(ranks))) for cell in itertools.product(*parts)]


@functools.cache
def outcomes(strategy, world_size, ranks):
    """What every rank has at the end of every cell."""
    settings = {cell: cell_settings(cell, world_size) for cell in cells(ranks)}
    dtype = "float32" if strategy.startswith("zero") else "float64"
    for each in settings.values():
        each["dtype"] = dtype
    with tempfile.TemporaryDirectory() as folder:
        return run_ranks(
            strategy_runs.trained_cells, world_size, folder, strategy, settings, timeout=500
        )


def reference(strategy, cell):
    # Two data types of parameters are drawn differently, whatever the strategy.
    name = "zero1" if strategy.startswith("zero") else "ddp"
    return outcomes(name, 1, cell.split("-")[-1])[0][cell]


def assert_equal_runs(strategy, cell, world_size):
    relative, absolute = (2e-4, 2e-5) if strategy.startswith("zero") else (1e-9, 1e-12)
    expected = reference(strategy, cell)
    found = [rank[cell] for rank in outcomes(strategy, world_size, str(world_size))]
    assert found[0]["parameters"].keys() == expected["parameters"].keys()
    for name, value in expected["parameters"].items():
        np.testing.assert_allclose(
            found[0]["parameters"][name], value, rtol=relative, atol=absolute, err_msg=name
        )
    # The log and the metrics keep float32; correlations of seven rows blow up its rounding.
    for line, wanted in zip(found[0]["history"], expected["history"], strict=True):
        assert line == pytest.approx(wanted, rel=2e-4, abs=2e-5)
    assert len({str(_metrics(rank)) for rank in found}) == 1
    assert _metrics(found[0]) == pytest.approx(_metrics(expected), rel=5e-3, abs=1e-3)


def _metrics(outcome):
    times = ("_runtime", "_per_second")
    return {name: value for name, value in outcome["metrics"].items() if not name.endswith(times)}


@pytest.mark.xdist_group("ddp")
@pytest.mark.parametrize("cell", cells(2))
def test_two_ranks_under_ddp_equal_one(cell):
    assert_equal_runs("ddp", cell, 2)


@pytest.mark.xdist_group("fsdp2")
@pytest.mark.parametrize("cell", cells(2))
def test_two_ranks_under_fsdp2_equal_one(cell):
    assert_equal_runs("fsdp2", cell, 2)


@pytest.mark.slow
@pytest.mark.xdist_group("three")
@pytest.mark.parametrize("cell", cells(3))
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_three_ranks_equal_one(strategy, cell):
    assert_equal_runs(strategy, cell, 3)


@pytest.mark.slow
@pytest.mark.deepspeed
@pytest.mark.xdist_group("zero")
@pytest.mark.parametrize("cell", cells(2))
@pytest.mark.parametrize("strategy", ["zero1", "zero2", "zero3"])
def test_two_ranks_under_zero_equal_one(strategy, cell):
    assert_equal_runs(strategy, cell, 2)
