# SPDX-License-Identifier: Apache-2.0
"""Labels: from a column of a data set to a tensor, and from logits to answers."""

import math

import pytest
import torch

from hf_mtl.tasks import IGNORE_INDEX, LABELS, LabelColumn, RowWords, TaskSpec, num_labelled

COLOURS = TaskSpec("text-classification", labels=("red", "green", "blue"))
RATINGS = TaskSpec("text-classification", labels=("1", "2", "5"))
TAGS = TaskSpec("token-classification", labels=("NAME", "PLACE"))
SCORES = TaskSpec("regression")


def encode(spec, values, *, words=None, word_ids=None, **settings):
    row_words = None if words is None else RowWords(words, word_ids)
    column = LabelColumn(values, "t", spec.labels or (), words=row_words, **settings)
    return spec.task_type.label_kind.encode(column)


def test_names_and_ids_become_indices():
    assert encode(COLOURS, ["blue", "red"]) == [2, 0]
    assert encode(COLOURS, [2, 0]) == [2, 0]


def test_numbers_that_are_names_are_not_ids():
    assert encode(RATINGS, [5, 1, 2]) == [2, 0, 1]


def test_ids_of_a_column_in_another_order_go_by_their_names():
    assert encode(COLOURS, [0, 1], value_names=["green", "red"]) == [1, 0]


def test_missing_classes_are_ignored():
    values = ["red", None, IGNORE_INDEX, math.nan]
    assert encode(COLOURS, values) == [0, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX]


def test_names_are_found_sorted_and_without_missing_ones():
    kind = LABELS.build("class")
    assert kind.names_from([10, 9, None, 9]) == ("9", "10")
    assert kind.names_from(["b", "a", "b"]) == ("a", "b")
    assert LABELS.build("token_class").names_from([["b"], None, ["a", None]]) == ("a", "b")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["red", "gren"], "row 8 has 'gren'. Did you mean 'green'"),
        ([3], "row 7 has 3. Labels: \\['red', 'green', 'blue'\\]"),
        (["2"], "row 7 has '2'"),
        ([0.5], "row 7 has 0.5"),
        ([["red"]], "row 7 has \\['red'\\]"),
        ([-1], "row 7 has -1. .* -1 is the label of test sets whose labels are hidden: turn it"),
    ],
)
def test_a_label_outside_the_set_is_named_with_its_row(values, words):
    with pytest.raises(ValueError, match=f"`labels` of task 't' must hold every label.*{words}"):
        encode(COLOURS, values, first_row=7)


def test_an_id_of_the_column_is_shown_with_its_name():
    message = r"row 1 has 'gren' \(id 1 of its column\). Did you mean 'green'\?"
    with pytest.raises(ValueError, match=message):
        encode(COLOURS, [0, 1], value_names=["red", "gren"])
    with pytest.raises(ValueError, match=r"row 0 has -1\. Labels: .* turn it into None"):
        encode(COLOURS, [-1], value_names=["red", "green"])


def test_numbers_with_a_fraction_are_known_by_the_names_they_were_found_under():
    values = [2.5, 1.5, 2.0, None, 1.0]
    names = LABELS.build("class").names_from(values)
    assert names == ("1", "1.5", "2", "2.5")
    assert encode(COLOURS.replace(labels=names), values) == [3, 1, 2, IGNORE_INDEX, 0]


def test_scores_are_numbers_and_may_be_minus_hundred():
    assert encode(SCORES, [1, 2.5, -100.0]) == [1.0, 2.5, -100.0]
    assert all(math.isnan(score) for score in encode(SCORES, [None, math.nan]))


@pytest.mark.parametrize("value", ["3.1", True, math.inf])
def test_what_is_no_number_is_no_score(value):
    with pytest.raises(ValueError, match="label of task 't' must be a finite number, but row 0"):
        encode(SCORES, [value])


def test_the_first_token_carries_the_label_of_its_word():
    labels = encode(
        TAGS, [["PLACE", "NAME"]], words=[["New-York", "Ann"]], word_ids=[[None, 0, 0, 1, None]]
    )
    assert labels == [[IGNORE_INDEX, 1, IGNORE_INDEX, 0, IGNORE_INDEX]]


def test_words_and_whole_rows_may_lack_labels():
    labels = encode(TAGS, [[None, "NAME"], None], words=[["a", "b"]] * 2, word_ids=[[0, 1]] * 2)
    assert labels == [[IGNORE_INDEX, 0], [IGNORE_INDEX, IGNORE_INDEX]]


def test_labels_of_words_cut_off_are_left_out():
    assert encode(TAGS, [["NAME", "PLACE"]], words=[["a", "b"]], word_ids=[[0]]) == [[0]]


def test_labels_of_another_number_than_the_words_are_refused():
    message = "labels of task 't' must be as many as the words, but row 3 has 1 labels for 2 words"
    with pytest.raises(ValueError, match=message):
        encode(TAGS, [["NAME"]], words=[["a", "b"]], word_ids=[[0, 1]], first_row=3)


def test_labels_of_words_need_the_words():
    with pytest.raises(ValueError, match="`words` must be given for labels of words, but got None"):
        encode(TAGS, [["NAME"]])


def test_a_single_label_for_a_row_of_words_is_refused():
    with pytest.raises(ValueError, match="must be a list with one label a word, but row 0 has"):
        encode(TAGS, ["NAME"], words=[["a"]], word_ids=[[0]])


@pytest.mark.parametrize(("side", "row"), [("right", [1, -100]), ("left", [-100, 1])])
def test_token_labels_are_padded_like_the_input(side, row):
    labels = LABELS.build("token_class").collate([[0, 1], [1]], 2, side)
    assert labels.tolist() == [[0, 1], row]


def test_missing_scores_are_nan_in_a_batch():
    labels = LABELS.build("score").collate([1.0, None], None, "right")
    assert labels[0] == 1.0
    assert math.isnan(labels[1])


@pytest.mark.parametrize(
    ("labels", "count"),
    [
        (torch.tensor([0, IGNORE_INDEX, 2]), 2),
        (torch.tensor([[0, -100], [-100, -100]]), 1),
        (torch.tensor([1.0, math.nan, -100.0]), 2),
    ],
)
def test_labelled_elements_are_counted(labels, count):
    assert num_labelled(labels) == count


def test_predictions_cover_the_labelled_rows_only():
    logits = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert LABELS.build("class").pairs(logits, torch.tensor([1, -100, 0])) == ([1, 1], [1, 0])
    scores = LABELS.build("score").pairs(
        torch.tensor([[0.5], [2.0]]), torch.tensor([1.0, math.nan])
    )
    assert scores == ([0.5], [1.0])


def test_token_predictions_come_row_by_row():
    logits = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    labels = torch.tensor([[1, 1], [-100, -100]])
    assert LABELS.build("token_class").pairs(logits, labels) == ([[0, 1]], [[1, 1]])


def test_answers_are_readable():
    logits = torch.tensor([[0.0, math.log(3.0), -math.inf]])
    (answer,) = LABELS.build("class").answers(logits, COLOURS.labels)
    assert answer["label"] == "green"
    assert answer["score"] == pytest.approx(3 / 4)
    assert LABELS.build("score").answers(torch.tensor([[2.5]]), ()) == [2.5]


def test_token_answers_name_each_word_once():
    logits = torch.tensor([[[0.0, 9.0], [0.0, 9.0], [9.0, 0.0]]])
    (answers,) = LABELS.build("token_class").answers(
        logits, TAGS.labels, RowWords([["Oslo", "Ann"]], [[0, 0, 1]])
    )
    assert [(answer["word"], answer["label"]) for answer in answers] == [
        ("Oslo", "PLACE"),
        ("Ann", "NAME"),
    ]
