# SPDX-License-Identifier: Apache-2.0
"""A run that is killed again and again ends as the run that was left alone, bit for bit.

Each run is killed within a random step of the first, the second and the third epoch, and resumed
from the last whole checkpoint; every second step is saved. Dropout is on and a step has two
micro-batches. What every step drew, every line of the log and the final parameters are compared.
"""

import functools
import itertools
import json
import random
import tempfile
from pathlib import Path

import interrupted_runs
import numpy as np
import pytest
from ranks import run_ranks, start_ranks
from toy_samplers import SOURCES, sampler_settings

from hf_mtl.data import SAMPLERS

pytestmark = pytest.mark.distributed

DRAWS = {
    "two_a_step": {"sampler": "uniform", "tasks_per_step": 2},
    "all": {"tasks_per_step": "all"},
    "all_merged": {"tasks_per_step": "all", "batches": "merged"},
}
NUM_EPOCHS = 3

# Crossed with all else. Of the other samplers, which share the machinery of these, each comes once
# with workers and once with a stream on two ranks.
CROSSED = ("proportional", "temperature", "uniform", "round_robin", *DRAWS)
OTHERS = sorted(set(SAMPLERS.names()) - set(CROSSED))

# Seeds of the kills, for sources that are read whole and with one that is streamed.
SEEDS = {False: (0, 1), True: (0,)}
# Mixture, whether a source is streamed, ranks, workers, seed of the kills.
IN_EVERY_CHECK = [
    ("proportional", True, 1, 2, 0),
    ("all_merged", False, 1, 2, 1),
    ("two_a_step", False, 2, 0, 0),
]
CELLS = [
    pytest.param(*cell, marks=() if cell in IN_EVERY_CHECK else pytest.mark.slow)
    for cell in (
        *(
            (mixture, streamed, ranks, workers, seed)
            for mixture, streamed, ranks, workers in itertools.product(
                CROSSED, SEEDS, (1, 2), (0, 2)
            )
            for seed in SEEDS[streamed]
        ),
        *((sampler, False, 1, 2, 0) for sampler in OTHERS),
        *((sampler, True, 2, 0, 0) for sampler in OTHERS),
    )
]


def mixture_settings(mixture, streamed):
    """Training arguments of a mixture; a stream stands beside one source, and not beside two."""
    return DRAWS.get(mixture) or sampler_settings(mixture, SOURCES[:2] if streamed else SOURCES)


def settings_of(mixture, streamed, ranks, workers):
    return {
        "streamed": streamed,
        "dropout": 0.1,
        "num_train_epochs": NUM_EPOCHS,
        "per_device_train_batch_size": 2 // ranks,
        "gradient_accumulation_steps": 2,
        "dataloader_num_workers": workers,
        "save_strategy": "steps",
        "save_steps": 2,
        **mixture_settings(mixture, streamed),
    }


def drawn(file, ranks):
    """What each rank drew in each step; a step that was made again drew the same again."""
    by_rank = []
    for rank in range(ranks):
        steps = {}
        for line in Path(f"{file}.{rank}").read_text().splitlines():
            step, rows = json.loads(line)
            assert steps.setdefault(step, rows) == rows, f"step {step} drew other rows"
        by_rank.append(steps)
    return by_rank


@functools.cache
def uninterrupted(mixture, streamed, ranks, workers):
    """What the run that is left alone gives, and what it drew."""
    with tempfile.TemporaryDirectory() as folder:
        draws = f"{folder}/draws"
        settings = settings_of(mixture, streamed, ranks, workers) | {"save_strategy": "no"}
        runs = run_ranks(interrupted_runs.train, ranks, f"{folder}/run", draws=draws, **settings)
        return runs, drawn(draws, ranks)


def kills(num_steps, seed):
    """A step of each epoch, none before the first checkpoint."""
    chance = random.Random(seed)
    ends = [num_steps * epoch // NUM_EPOCHS for epoch in range(NUM_EPOCHS + 1)]
    return [chance.randint(max(3, first + 1), last) for first, last in itertools.pairwise(ends)]


@pytest.mark.parametrize(("mixture", "streamed", "ranks", "workers", "seed"), CELLS)
def test_a_run_killed_in_every_epoch_equals_the_uninterrupted_one(
    tmp_path, mixture, streamed, ranks, workers, seed
):
    whole, rows = uninterrupted(mixture, streamed, ranks, workers)
    settings = settings_of(mixture, streamed, ranks, workers)
    folder, draws, resume = str(tmp_path / "run"), str(tmp_path / "draws"), None
    for step in kills(whole[0]["steps"], seed):
        died = start_ranks(
            interrupted_runs.train_and_die_in_step,
            ranks,
            folder,
            step,
            draws=draws,
            resume=resume,
            **settings,
        )
        assert -9 in [each.exit_code for each in died], died[0].error
        resume = True
    last = run_ranks(interrupted_runs.train, ranks, folder, draws=draws, resume=resume, **settings)
    assert drawn(draws, ranks) == rows
    for rank in range(ranks):
        assert last[rank]["history"] == whole[rank]["history"]
        for name, value in whole[rank]["parameters"].items():
            assert np.array_equal(last[rank]["parameters"][name], value), name
