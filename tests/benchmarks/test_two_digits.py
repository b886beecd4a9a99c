# SPDX-License-Identifier: Apache-2.0
"""The task of two digits: its pictures and its verdicts by hand, and a quick run."""

import argparse
import json
import subprocess
import sys

import numpy as np
import pytest
from benchmark_scripts import SCRIPTS, load_script

from hf_mtl import MultiTaskTrainingArguments
from hf_mtl.gradients import GRADIENT_METHODS
from hf_mtl.weighting import WEIGHTINGS

OPTIONS = argparse.Namespace(pictures=30, held_out=10, steps=20, batch_size=8)


@pytest.fixture(scope="module")
def two_digits():
    return load_script("two_digits")


def test_where_two_digits_overlap_the_brighter_one_shows(two_digits):
    left = np.full((8, 8), 3, dtype=np.uint8)
    right = np.full((8, 8), 2, dtype=np.uint8)
    right[0, 0] = 9
    picture = two_digits.overlap(left, right)
    assert picture.shape == (12, 12)
    assert picture[4, 4] == 9  # the first pixel of the right one
    assert picture[4, 5] == picture[7, 7] == picture[0, 0] == 3
    assert picture[8, 8] == picture[11, 11] == 2
    assert picture[0, 11] == picture[11, 0] == 0


def test_a_picture_has_the_names_of_both_of_its_digits(two_digits):
    digits = np.stack([np.full((8, 8), 16.0), np.zeros((8, 8))])
    rows = two_digits.pictures(digits, np.array([7, 5]), number=20, seed=0)
    for row in rows:
        pixels = np.asarray(row["image"])
        assert row["left"] == (7 if pixels[0, 0] == 255 else 5)
        assert row["right"] == (7 if pixels[11, 11] == 255 else 5)


def test_splits_have_their_sizes_and_differ(two_digits):
    splits = two_digits.splits(OPTIONS)
    assert {name: len(rows) for name, rows in splits.items()} == {
        "test": 10,
        "validation": 10,
        "train": 30,
    }
    assert splits["test"]["left"][:] != splits["validation"]["left"][:]


def test_every_weighting_and_every_method_has_a_turn(two_digits, tmp_path):
    ways = two_digits.ways(OPTIONS)
    assert {*WEIGHTINGS.names()} - {*ways} == {"static"}
    assert {*GRADIENT_METHODS.names()} <= {*ways}
    for given in ways.values():
        MultiTaskTrainingArguments(output_dir=str(tmp_path), **given)


def test_a_weight_is_that_of_the_left_task_against_the_right_one(two_digits):
    weights = two_digits.suite_of(3.0).weights
    assert weights == {"left": 1.5, "right": 0.5}


def test_tuned_weights_are_chosen_by_validation_and_scored_on_the_test_split(two_digits):
    def scores(validation, test):
        return [{"validation": validation, "test": test}]

    equal, better, luckier = scores(0.5, 0.5), scores(0.7, 0.4), scores(0.6, 0.9)
    first, second, *rest = two_digits.STATIC
    tried = {first: better, second: luckier, **dict.fromkeys(rest, equal)}
    found = two_digits.with_tuned({"equal weighting": equal, **tried, "famo": equal})
    assert found == {"equal weighting": equal, "tuned static weights": better, "famo": equal}


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ([0.6, 0.7, 0.8], "helps"),  # 0.1 more each time
        ([0.4, 0.5, 0.6], "hurts"),
        ([0.4, 0.6, 0.9], "within noise"),
        ([0.5, 0.6, 0.7], "within noise"),  # the same
    ],
)
def test_a_way_helps_if_its_interval_leaves_out_zero(two_digits, own, says):
    assert two_digits.compared(own, [0.5, 0.6, 0.7])[2] == says


def test_half_the_width_of_the_interval_is_that_of_students_distribution(two_digits):
    # Differences 0, 0.1, 0.2: their mean has an error of 0.1 / sqrt(3), times 4.303.
    mean, half, _ = two_digits.compared([0.1, 0.2, 0.3], [0.1, 0.1, 0.1])
    assert (round(mean, 6), round(half, 4)) == (0.1, 0.2484)


def test_one_seed_says_nothing(two_digits):
    assert two_digits.compared([0.9], [0.1])[2] == "one seed says nothing"


@pytest.mark.slow
def test_a_quick_run_prints_a_table_and_writes_it_down(tmp_path):
    results = tmp_path / "results.json"
    run = subprocess.run(
        [sys.executable, SCRIPTS / "two_digits.py", "--quick", "--results", results],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = [row["way"] for row in json.loads(results.read_text("utf-8"))["ways"]]
    assert found == ["equal weighting", "tuned static weights", "uncertainty", "pcgrad"]
    for way in found:
        assert f"| {way} |" in run.stdout
