# SPDX-License-Identifier: Apache-2.0
"""Constant answers against what a reader counts in the labels."""

import math
from types import SimpleNamespace

import pytest

from hf_mtl.evaluation import constant_baseline
from hf_mtl.tasks import IGNORE_INDEX, TaskSpec, TaskSuite


def collection(**labels_by_task):
    """What `prepare` gives, as far as the baseline reads it; a stream has no labels."""
    return SimpleNamespace(labels=labels_by_task.get)


def test_the_class_is_the_most_frequent_of_the_training_rows():
    suite = TaskSuite({"topic": TaskSpec("text-classification", labels=("a", "b", "c"))})
    train = collection(topic=[2, 2, 0, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX])
    test = collection(topic=[2, 0, 1, IGNORE_INDEX])
    # Always "c": one of three right; F1 of "c" is 1/2, of the others 0.
    assert constant_baseline(suite, train, test) == {
        "topic": pytest.approx({"accuracy": 1 / 3, "f1_macro": 1 / 2 / 3})
    }


def test_the_score_is_the_mean_of_the_training_rows():
    suite = TaskSuite({"score": TaskSpec("regression")})
    baseline = constant_baseline(
        suite, collection(score=[1.0, 3.0, None]), collection(score=[0.0, 3.0])
    )
    assert math.isnan(baseline["score"]["pearson"])
    assert baseline["score"]["rmse"] == pytest.approx(math.sqrt((2**2 + 1**2) / 2))


def test_the_tag_is_the_most_frequent_of_the_training_words():
    suite = TaskSuite({"tags": TaskSpec("token-classification", labels=("x", "y"))})
    ignored = IGNORE_INDEX
    train = collection(tags=[[ignored, 1, 1, 1], [ignored, 0], [ignored, 0]])
    test = collection(tags=[[ignored, 1, 0, ignored], [ignored, 1], [ignored, ignored]])
    assert constant_baseline(suite, train, test)["tags"]["accuracy"] == pytest.approx(2 / 3)


def test_a_task_without_a_labelled_training_row_is_an_error_that_names_it():
    suite = TaskSuite({"score": TaskSpec("regression")})
    with pytest.raises(ValueError, match="'score' must have labelled rows to train on"):
        constant_baseline(suite, collection(score=[math.nan]), collection(score=[1.0]))


def test_a_task_whose_training_rows_are_streamed_has_no_baseline():
    suite = TaskSuite({"score": TaskSpec("regression"), "streamed": TaskSpec("regression")})
    test = collection(score=[1.0, 3.0], streamed=[1.0, 3.0])
    found = constant_baseline(suite, collection(score=[2.0, 2.0]), test)
    assert list(found) == ["score"]
