# SPDX-License-Identifier: Apache-2.0
"""The benchmark of gradient methods: its arithmetic by hand, and quick runs."""

import argparse
import os
import subprocess
import sys

import pytest
import torch
from benchmark_scripts import SCRIPTS, load_script
from rich.table import Table

from hf_mtl import MultiTaskTrainingArguments
from hf_mtl.training.engines import ENGINES


@pytest.fixture(scope="module")
def balancing():
    return load_script("balancing")


@pytest.fixture(scope="module")
def allocated_memory():
    return load_script("allocated_memory")


def setting(balancing, **given):
    values = {"batches": "merged", "tuning": "full", "num_tasks": 4, "num_rows": 64, "length": 64}
    return balancing.Setting(**{**values, "processes": 1, "device": "cpu", **given})


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ({}, 64 / 4),
        ({"num_tasks": 16}, 64 / 16),
        ({"processes": 2}, 64 / 4 / 2),
        ({"num_tasks": 128}, 1),  # there is no less
        ({"batches": "shared"}, 64),  # every task is on every row
        ({"batches": "separate", "num_rows": 32}, 32),
        ({"batches": "separate", "num_rows": 32, "processes": 2, "num_tasks": 16}, 32),
    ],
)
def test_merged_rows_are_shared_and_separate_ones_are_not(balancing, given, rows):
    assert setting(balancing, **given).batch_size == rows


@pytest.mark.parametrize("batches", ["merged", "separate", "shared"])
@pytest.mark.parametrize("processes", [1, 2])
def test_every_way_can_be_asked_for(balancing, tmp_path, batches, processes):
    ways = balancing.ways_of(batches, processes)
    assert next(iter(ways)) == balancing.EQUAL
    for way in ways.values():
        MultiTaskTrainingArguments(output_dir=str(tmp_path), **way.given)


def test_every_engine_is_measured(balancing):
    ways = [*balancing.ways_of("merged", 1).values(), *balancing.ways_of("shared", 1).values()]
    measured = {way.given.get("gradient_engine") for way in ways} - {None}
    assert measured == set(ENGINES)


def test_wanted_words_choose_ways_and_equal_weighting_is_always_among_them(balancing):
    chosen = balancing.chosen_ways(setting(balancing), ["mgda", "twice"])
    assert chosen == ["equal weighting", "mgda, grouped", "pcgrad, grouped_twice"]


def test_a_ratio_is_to_equal_weighting_in_the_same_round(balancing):
    table = Table(*map(str, range(10)))
    measured = {
        "shared": 2**18,  # of 4 bytes: 1 MiB
        "ways": {
            "equal weighting": {"seconds": [1.0, 2.0, 4.0], "error": "", "bytes": 5 * 2**20},
            "pcgrad": {"seconds": [1.5, 4.0, 4.0], "error": "", "bytes": 9 * 2**20},
            "broken": {"seconds": [], "error": "ValueError: no", "bytes": 0},
        },
    }
    balancing.add_rows(table, setting(balancing), measured)
    cells = [[*column.cells][1:] for column in table.columns[4:]]
    assert [pcgrad for pcgrad, _ in cells] == [
        "pcgrad",
        "4000",
        "1.500",  # the median of 1.5, 2 and 1
        "1.000 to 2.000",
        "4.0",
        "4.00",
    ]
    assert [broken for _, broken in cells[:4]] == ["broken", "-", "failed", "ValueError: no"]


def test_the_largest_sum_is_that_of_the_worst_moment(allocated_memory):
    sizes = [5, 3, -5, 4, -3, -4]  # 5, 8, 3, 7, 4, 0
    events = [
        {"name": "[memory]", "ts": time, "args": {"Bytes": size}} for time, size in enumerate(sizes)
    ]
    other = {"name": "aten::mm", "ts": 1, "args": {"Bytes": 1000}}
    assert allocated_memory.largest_sum([other, *reversed(events)]) == 8


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts on the CPU")
def test_what_is_set_free_makes_room_for_what_comes_next(allocated_memory):
    def two_at_once():
        first = torch.ones(1000)
        second = torch.ones(1000)
        del first
        return second, torch.ones(500)

    assert allocated_memory.peak_bytes(two_at_once) == 2 * 4000


@pytest.mark.slow
@pytest.mark.real_weights
@pytest.mark.parametrize("given", [[], ["--tuning", "lora"], ["--processes", "2"]])
def test_a_quick_run_prints_a_row_for_each_way(real_data, given):
    if "lora" in given:
        pytest.importorskip("peft")
    run = subprocess.run(
        [sys.executable, SCRIPTS / "balancing.py", "--quick", *given],
        env={**os.environ, "HF_MTL_CACHE": str(real_data), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "failed" not in run.stdout
    for words in ("equal weighting", "mean, grouped", "mean, streaming", "pcgrad, representation"):
        assert words in run.stdout


def test_words_of_the_command_line_become_settings(balancing):
    options = argparse.Namespace(
        processes=[1],
        tuning=["full", "lora"],
        batches=["merged", "separate"],
        tasks=[2],
        rows=64,
        separate_rows=32,
        length=64,
        device="cpu",
    )
    found = [(each.tuning, each.batches, each.num_rows) for each in balancing.settings_of(options)]
    assert found == [
        ("full", "merged", 64),
        ("full", "separate", 32),
        ("lora", "merged", 64),
        ("lora", "separate", 32),
    ]
