# SPDX-License-Identifier: Apache-2.0
"""Ordered classes: from a column to a tensor, and from logits to answers."""

import math

import pytest
import torch
from datasets import Dataset

from hf_mtl.data import find_labels
from hf_mtl.tasks import LABELS, TaskSpec, TaskSuite

KIND = LABELS.build("ordinal")
GRADES = ("bad", "fair", "good")


def logit(probability):
    return math.log(probability / (1 - probability))


def test_there_is_an_output_for_each_grade_but_the_highest():
    assert KIND.num_outputs(GRADES) == 2
    assert KIND.output_names(GRADES) == ("above bad", "above fair")


def test_numbers_have_an_order_of_their_own():
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "label": [10, 2, 1]})
    suite = find_labels(TaskSuite({"t": TaskSpec("ordinal-regression")}), {"t": rows})
    assert suite["t"].labels == ("1", "2", "10")


def test_the_order_of_words_must_be_given():
    rows = Dataset.from_dict({"text": ["a", "b"], "label": ["good", "bad"]})
    suite = TaskSuite({"t": TaskSpec("ordinal-regression")})
    with pytest.raises(ValueError, match=r"`labels` must be given for grades.*\['bad', 'good'\]"):
        find_labels(suite, {"t": rows})


def test_a_grade_is_the_number_of_grades_below_that_are_likely():
    # Above "bad": 0.9 and 0.8 and 0.4. Above "fair" too: 0.9 x 0.6, 0.8 x 0.5, 0.4 x 0.9.
    logits = torch.tensor(
        [[logit(0.9), logit(0.6)], [logit(0.8), logit(0.5)], [logit(0.4), logit(0.9)]]
    )
    labels = torch.tensor([2, -100, 0])
    assert KIND.pairs(logits, labels) == ([2, 0], [2, 0])
    answers = KIND.answers(logits, GRADES)
    assert [each["label"] for each in answers] == ["good", "fair", "bad"]
    assert [each["score"] for each in answers] == [
        pytest.approx(0.9 * 0.6),
        pytest.approx(0.8 - 0.8 * 0.5),
        pytest.approx(1 - 0.4),
    ]


def test_the_constant_answer_is_the_median():
    labels = torch.tensor([0, 2, 2, 1, 1, 1, -100])
    answer = KIND.constant_logits(labels, 2)
    assert KIND.pairs(answer[None], torch.tensor([0]))[0] == [1]
