# SPDX-License-Identifier: Apache-2.0
"""Any number of classes a row: from a column to a tensor, and from logits to answers."""

import math

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, List, Value

from hf_mtl.data import find_labels
from hf_mtl.tasks import LABELS, LabelColumn, TaskSpec, TaskSuite

KIND = LABELS.build("class_set")
MOODS = ("calm", "glad", "sad")
NAN = math.nan


def encode(values, *, names=MOODS, **settings):
    return KIND.encode(LabelColumn(values, "t", names, **settings))


def test_names_and_ids_become_an_answer_for_each_label():
    assert encode([["sad", "calm"], [], [1]]) == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_ids_of_a_column_in_another_order_go_by_their_names():
    assert encode([[0, 2]], value_names=["sad", "calm", "glad"]) == [[0, 1, 1]]


def test_floats_and_booleans_are_answers_already():
    assert encode([[1.0, 0.0, 1.0], [False, True, False]]) == [[1, 0, 1], [0, 1, 0]]


def test_an_answer_or_a_row_may_be_unknown():
    (row,), (missing,) = encode([[1.0, None, 0.0]]), encode([None])
    assert (row[0], row[2]) == (1, 0)
    assert math.isnan(row[1])
    assert all(map(math.isnan, missing))


def test_what_arrow_wrote_as_null_is_unknown():
    labels = KIND.collate([[1.0, None], [0.0, 1.0]], None, "right")
    torch.testing.assert_close(labels, torch.tensor([[1, NAN], [0, 1]]), equal_nan=True)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("sad", "must be a list, but row 7 has 'sad'. Give the names"),
        (["said"], "row 7 has 'said'. Did you mean 'sad'"),
        (["sad", "sad"], "must be distinct names or ids, but row 7 has"),
        ([0, 1, 1], "If it is one answer for each label, turn it into floats"),
        ([None, "sad"], "must be distinct names or ids, but row 7 has"),
        ([1.0, 0.0], r"an answer of 0 or 1 for each of its 3 labels, but row 7 has \[1.0, 0.0\]"),
        ([0.5, 0.0, 1.0], r"an answer of 0 or 1 for each of its 3 labels, but row 7"),
    ],
)
def test_a_row_that_is_no_set_of_labels_is_named(value, words):
    with pytest.raises(ValueError, match=words):
        encode([value], first_row=7)


def test_names_are_found_in_all_rows():
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "labels": [["sad"], [], ["glad", "sad"]]})
    suite = find_labels(TaskSuite({"t": TaskSpec("multi-label-classification")}), {"t": rows})
    assert suite["t"].labels == ("glad", "sad")


def test_names_of_a_column_of_ids_are_taken_from_it():
    features = Features({"text": Value("string"), "labels": List(ClassLabel(names=list(MOODS)))})
    rows = Dataset.from_dict({"text": ["a"], "labels": [[2]]}, features=features)
    suite = find_labels(TaskSuite({"t": TaskSpec("multi-label-classification")}), {"t": rows})
    assert suite["t"].labels == MOODS


def test_names_cannot_be_found_in_answers():
    rows = Dataset.from_dict({"text": ["a"], "labels": [[1.0, 0.0]]})
    suite = TaskSuite({"t": TaskSpec("multi-label-classification")})
    with pytest.raises(ValueError, match="`labels` must be given for rows that hold an answer"):
        find_labels(suite, {"t": rows})


def test_a_class_counts_where_its_answer_is_known():
    logits = torch.tensor([[2.0, -1.0, 3.0], [1.0, 1.0, -1.0], [1.0, 1.0, 1.0]])
    labels = torch.tensor([[1.0, 1.0, NAN], [0.0, 1.0, 0.0], [NAN, NAN, NAN]])
    assert KIND.pairs(logits, labels) == (
        [frozenset({0}), frozenset({0, 1})],
        [frozenset({0, 1}), frozenset({1})],
    )


def test_answers_are_the_classes_above_one_half_most_likely_first():
    logits = torch.tensor([[math.log(3), -1.0, math.log(9)], [-1.0, -1.0, -1.0]])
    first, second = KIND.answers(logits, MOODS)
    assert [each["label"] for each in first] == ["sad", "calm"]
    assert [each["score"] for each in first] == [pytest.approx(0.9), pytest.approx(0.75)]
    assert second == []


def test_the_constant_answer_has_what_most_known_rows_have():
    labels = torch.tensor([[1.0, 0.0, NAN], [1.0, 1.0, NAN], [NAN, 0.0, NAN]])
    assert (KIND.constant_logits(labels, 3) > 0).tolist() == [True, False, False]
