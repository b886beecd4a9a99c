# SPDX-License-Identifier: Apache-2.0
"""Several ranks equal one: parameters, losses and metrics after twenty steps.

Sources have 12, 7 and 10 rows, so that draws of 4, 6 and 9 rows end in short ones: some ranks and
micro-batches have no row of them. Half of the cells have missing labels, some of which leave a
task to one rank alone. With one draw a step the heads of the other sources are absent, and weight
decay and momentum would move them.

Every cell is a strategy x ranks x labels x draws of a step x separate or merged batches x cut into
micro-batches or not. `make check` runs those of `IN_CHECK`, all others are marked slow.
"""

import itertools
import tempfile

import pytest
import strategy_runs
from ranks import run_ranks

pytestmark = pytest.mark.distributed

LABELS = ("complete", "partial")
DRAWS = {
    "all": {"tasks_per_step": "all"},
    "one": {"sampler": "proportional"},
    "two": {"sampler": "uniform", "tasks_per_step": 2},
}
# Rows of a batch on a rank, and micro-batches of a step.
CUTS = {"whole": (2, 1), "in_3": (1, 3)}
CELLS = list(itertools.product(("separate", "merged"), CUTS))
IN_CHECK = {
    ("ddp", 2, "partial", "all"),
    ("fsdp2", 2, "partial", "one"),
}


def runs():
    """Strategy, ranks, labels and draws; each is a test of four cells."""
    strategies = [(strategy, 2) for strategy in strategy_runs.STRATEGIES]
    for strategy, ranks in [*strategies, ("ddp", 3), ("fsdp2", 3)]:
        for labels, draws in itertools.product(LABELS, DRAWS):
            run = (strategy, ranks, labels, draws)
            marks = [] if run in IN_CHECK else [pytest.mark.slow]
            marks += [pytest.mark.deepspeed] if strategy.startswith("zero") else []
            yield pytest.param(*run, marks=marks)


def settings(labels, draws, batches, rows, accumulation, dtype):
    return {
        "complete": labels == "complete",
        "batches": batches,
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": accumulation,
        "dtype": dtype,
        "max_steps": 20,
        "weight_decay": 0.1,
        "learning_rate": 1e-2,
        # Larger than usual, so that rounding of gradients near 0 is not blown up.
        "adam_epsilon": 1e-3,
        **DRAWS[draws],
    }


@pytest.mark.parametrize(("strategy", "ranks", "labels", "draws"), list(runs()))
def test_several_ranks_equal_one(strategy, ranks, labels, draws):
    is_zero = strategy.startswith("zero")
    dtype = "float32" if is_zero else "float64"
    on_ranks, on_one = {}, {}
    for batches, cut in CELLS:
        rows, accumulation = CUTS[cut]
        cell = f"{batches}, {cut}"
        on_ranks[cell] = settings(labels, draws, batches, rows, accumulation, dtype)
        on_one[cut] = settings(labels, draws, "separate", rows * accumulation * ranks, 1, dtype)
    with tempfile.TemporaryDirectory() as folder:
        found = run_ranks(
            strategy_runs.trained_cells, ranks, folder, strategy, on_ranks, timeout=500
        )
        (expected,) = run_ranks(strategy_runs.trained_cells, 1, folder, strategy, on_one)
    for batches, cut in CELLS:
        outcomes = [rank[f"{batches}, {cut}"] for rank in found]
        strategy_runs.assert_same_training(outcomes[0], expected[cut], is_exact=not is_zero)
        assert_same_metrics(outcomes, labels, dtype)


def assert_same_metrics(outcomes, labels, dtype):
    """Each example counts once: the metrics are those of one process with these parameters.

    Not with those that one process found: a correlation of seven predictions that hardly differ
    blows up the rounding of training. That of evaluation is left, hence the tolerance.
    """
    expected = strategy_runs.evaluated(
        outcomes[0]["parameters"], complete=labels == "complete", dtype=dtype
    )
    for outcome in outcomes:
        found = scores(outcome["metrics"])
        assert found == pytest.approx(scores(expected), rel=5e-3, abs=1e-3)


def scores(found):
    others = ("_runtime", "_per_second", "epoch")
    return {name: value for name, value in found.items() if not name.endswith(others)}
