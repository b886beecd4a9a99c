# SPDX-License-Identifier: Apache-2.0
"""Answers in a text as labels of windows, and back from logits to texts."""

import math

import pytest
import torch

from hf_mtl.tasks import LabelColumn, RowWindow, TaskSpec
from hf_mtl.tasks.labels import AnswerSpan

CONTEXT = "red fox runs fast"
SPANS = [(0, 3), (4, 7), (8, 12), (13, 17)]
# [CLS] who [SEP] red fox runs fast [SEP]
WHOLE = RowWindow(row=0, context=CONTEXT, spans=SPANS, begin=0, stop=4, first=3, null=0, length=8)
# Two words each, with one in both.
WINDOWS = [WHOLE.part(0, 2), WHOLE.part(1, 3), WHOLE.part(2, 4)]
NONE = {"text": [], "answer_start": []}
LOW = -100


def given(text, start):
    return {"text": [text], "answer_start": [start]}


def encode(values, windows=(WHOLE,), first_row=0):
    return AnswerSpan().encode(LabelColumn(values, "qa", windows=windows, first_row=first_row))


def answers(logits, windows=(WHOLE,), **options):
    """Answers to logits of one window, or of several, given as rows of (first, last)."""
    kind = AnswerSpan(**options)
    logits = torch.tensor(logits, dtype=torch.float)
    logits = logits if logits.ndim == 3 else logits[None]
    traces = kind.traces(encode([None], windows), logits.shape[1], "right")
    return kind.answers(logits, (), traces=traces)


def at(starts, ends, null=(0.0, 0.0)):
    """Logits of the whole context by word; the question and the last position stand out."""
    words = [list(pair) for pair in zip(starts, ends, strict=True)]
    return [list(null), [9.0, 9.0], [9.0, 9.0], *words, [9.0, 9.0]]


def test_an_answer_is_marked_at_its_first_and_last_token():
    labels = AnswerSpan().collate(encode([given("fox runs", 4)]), None, "right")
    assert labels.tolist() == [[0, LOW, LOW, 0, 1, 2, 0, LOW]]


def test_an_answer_of_one_token_is_marked_as_both():
    # Part of a word is the whole token.
    labels = AnswerSpan().collate(encode([given("fo", 4)]), None, "right")
    assert labels.tolist() == [[0, LOW, LOW, 0, 3, 0, 0, LOW]]


def test_no_answer_is_marked_at_the_position_that_stands_for_it():
    labels = AnswerSpan().collate(encode([NONE]), None, "right")
    assert labels.tolist() == [[3, LOW, LOW, 0, 0, 0, 0, LOW]]


def test_a_window_without_the_whole_answer_has_it_nowhere():
    labels = AnswerSpan().collate(encode([given("fox runs", 4)], WINDOWS), None, "right")
    assert labels.tolist() == [
        [3, LOW, LOW, 0, 0, LOW],
        [0, LOW, LOW, 1, 2, LOW],
        [3, LOW, LOW, 0, 0, LOW],
    ]


@pytest.mark.parametrize(
    ("side", "shifted"),
    [
        ("right", [0, LOW, LOW, 3, 0, LOW, LOW, LOW]),
        ("left", [LOW, LOW, 0, LOW, LOW, 3, 0, LOW]),
    ],
)
def test_padding_is_no_place_for_an_answer(side, shifted):
    encoded = encode([given("red", 0)], WINDOWS[:1])
    assert AnswerSpan().collate(encoded, 8, side).tolist() == [shifted]


def test_tokens_without_characters_are_no_place_for_an_answer():
    spans = [(0, 0), *SPANS, (0, 0)]
    window = RowWindow(
        row=0, context=CONTEXT, spans=spans, begin=0, stop=6, first=1, null=0, length=7
    )
    encoded = encode([given("fast", 13)], [window])
    assert AnswerSpan().collate(encoded, None, "right").tolist() == [[0, LOW, 0, 0, 0, 3, LOW]]
    assert encoded[0]["text"] == CONTEXT


@pytest.mark.parametrize("missing", [None, {"text": None, "answer_start": None}])
def test_missing_answers_have_no_label(missing):
    assert (AnswerSpan().collate(encode([missing]), None, "right") == LOW).all()
    forgotten = AnswerSpan().missing(encode([NONE]))
    assert (AnswerSpan().collate(forgotten, None, "right") == LOW).all()


def test_rows_are_known_by_their_place_in_the_data_set():
    second = RowWindow(**{**WHOLE.__dict__, "row": 1})
    assert [label["row"] for label in encode([NONE, NONE], [WHOLE, second], first_row=7)] == [7, 8]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            given("fox", 5),
            "The answers of task 'qa' must lie in their context, but row 3 has 'fox' at character "
            "5, where the context has 'ox '",
        ),
        (given("fox", -13), "must lie in their context, but row 3 has 'fox' at character -13"),
        (given("", 4), "must lie in their context, but row 3 has '' at character 4"),
        (given(" ", 3), "must hold at least one token, but row 3 has ' '"),
        (
            {"text": ["red", "fox"], "answer_start": [0]},
            r"must be lists with as many texts as first characters, but row 3 has \['red', 'fox'\]",
        ),
        ({"text": "fox", "answer_start": 4}, "must be lists .* but row 3 has 'fox' and 4"),
        ({"text": ["fox"], "answer_start": None}, r"must be lists .* has \['fox'\] and None"),
        (
            given("fox", 4.0),
            "must lie in their context, but row 3 has 'fox' at character 4.0. Mend",
        ),
        (given(4, 4), "must lie in their context, but row 3 has 4 at character 4. Mend"),
        ("fox", "must be a mapping with `text` and `answer_start`, but row 3 has 'fox'"),
        ({"text": ["fox"]}, "must be a mapping with `text` and `answer_start`, but row 3 has"),
    ],
)
def test_what_is_no_answer_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        encode([value], first_row=3)


def test_the_best_stretch_is_the_answer():
    (answer,) = answers(at([0, 4, 0, 0], [0, 0, 3, 0]))
    assert answer["answer"] == "fox runs"
    assert (answer["start"], answer["end"]) == (4, 12)
    # Ten stretches and "no answer": 7, three of 4, two of 3, and five of 0.
    total = math.exp(7) + 2 * math.exp(4) + 2 * math.exp(3) + 6
    assert answer["score"] == pytest.approx(math.exp(7) / total)


def test_an_answer_does_not_end_before_it_begins():
    (answer,) = answers(at([0, 0, 4, 0], [3, 0, 0, 2]))
    assert answer["answer"] == "runs fast"


def test_an_answer_has_at_most_so_many_tokens():
    logits = at([5, 1, 0, 0], [0, 0, 0, 5])
    assert answers(logits)[0]["answer"] == CONTEXT
    assert answers(logits, max_answer_length=3)[0]["answer"] == "fox runs fast"
    assert answers(logits, max_answer_length=1)[0]["answer"] in {"red", "fast"}


@pytest.mark.parametrize(
    ("threshold", "answer"), [(0.0, None), (0.9, None), (1.1, "fox"), (-2.0, None)]
)
def test_there_is_no_answer_if_its_score_exceeds_the_best_by_the_threshold(threshold, answer):
    logits = at([0, 2, 0, 0], [0, 2, 0, 0], null=(3.0, 2.0))
    (found,) = answers(logits, null_threshold=threshold)
    assert found["answer"] == answer
    assert (found["start"], found["end"]) == ((4, 7) if answer else (None, None))


def test_n_best_come_with_the_answer_on_demand():
    (found,) = answers(at([0, 4, 0, 0], [0, 2, 3, 0], null=(2.0, 3.5)), n_best=3)
    assert [each["answer"] for each in found["n_best"]] == ["fox runs", "fox", None]
    assert found["answer"] == "fox runs"
    assert found["n_best"][0]["score"] == found["score"]
    (found,) = answers(at([0, 4, 0, 0], [0, 2, 3, 0], null=(5, 5)), n_best=3)
    assert [each["answer"] for each in found["n_best"]] == [None, "fox runs", "fox"]


def window_logits(first, second, null):
    """Logits of a window of two words, of which the stretches are these words alone or both."""
    return [[null, 0.0], [9, 9], [9, 9], [first, 0.0], [second, 0.0], [9, 9]]


def test_windows_of_one_question_are_answered_together():
    logits = [
        window_logits(0, 1, null=4),
        window_logits(1, 3, null=2),
        window_logits(3, 0, null=4),
    ]
    (found,) = answers(logits, WINDOWS, max_answer_length=1, n_best=9)
    # "No answer" counts 2, by the window that believes in it least; "runs" is in two windows.
    assert [each["answer"] for each in found["n_best"]] == ["runs", None, "fox", "red", "fast"]
    odds = [math.exp(score) for score in (3, 2, 1, 0, 0)]
    assert found["score"] == pytest.approx(odds[0] / sum(odds))


def test_windows_are_joined_in_any_order_and_judged_once():
    kind = AnswerSpan(max_answer_length=1)
    logits = torch.tensor(
        [window_logits(0, 1, 4), window_logits(1, 3, 2), window_logits(3, 0, 4)]
    ).float()
    encoded = encode([{"text": ["runs", "runs fast"], "answer_start": [8, 8]}], WINDOWS)
    labels, traces = kind.collate(encoded, None, "right"), kind.traces(encoded, None, "right")
    predictions, references = kind.pairs(logits, labels, traces)
    expected = [["runs"]], [["runs", "runs fast"]]
    assert kind.joined(predictions, references) == expected
    assert kind.joined(predictions[::-1], references[::-1]) == expected


def test_windows_without_a_label_are_not_judged():
    encoded = encode([None])
    kind = AnswerSpan()
    labels, traces = kind.collate(encoded, None, "right"), kind.traces(encoded, None, "right")
    assert kind.pairs(torch.zeros(1, 8, 2), labels, traces) == ([], [])


def test_a_question_without_an_answer_has_no_reference():
    kind = AnswerSpan()
    encoded = encode([NONE])
    labels, traces = kind.collate(encoded, None, "right"), kind.traces(encoded, None, "right")
    assert kind.joined(*kind.pairs(torch.zeros(1, 8, 2), labels, traces)) == ([[]], [[]])


def test_padding_on_the_left_is_passed_over():
    kind = AnswerSpan()
    logits = torch.tensor([[9.0, 9.0], [9.0, 9.0], *at([0, 4, 0, 0], [0, 0, 3, 0])])
    traces = kind.traces(encode([None]), 10, "left")
    assert kind.answers(logits[None], (), traces=traces)[0]["answer"] == "fox runs"


def test_white_space_around_an_answer_is_left_out():
    # As tokenizers of the kind of GPT-2 count the space before a word to the word.
    spans = [(0, 3), (3, 7), (7, 12), (12, 17)]
    window = RowWindow(**{**WHOLE.__dict__, "spans": spans})
    (answer,) = answers(at([0, 4, 0, 0], [0, 0, 3, 0]), [window])
    assert (answer["answer"], answer["start"], answer["end"]) == ("fox runs", 4, 12)
    labels = AnswerSpan().collate(encode([given("fox runs", 4)], [window]), None, "right")
    assert labels.tolist() == [[0, LOW, LOW, 0, 1, 2, 0, LOW]]


def test_windows_and_traces_must_be_given():
    with pytest.raises(ValueError, match="`windows` must be given for answers in a text"):
        AnswerSpan().encode(LabelColumn([None], "qa"))
    with pytest.raises(ValueError, match="`traces` must be given for answers in a text"):
        AnswerSpan().answers(torch.zeros(1, 8, 2), ())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_answer_length": 0}, ValueError),
        ({"n_best": 1.5}, TypeError),
        ({"null_threshold": math.nan}, ValueError),
    ],
)
def test_options_are_checked_with_the_task(options, error):
    with pytest.raises(error, match=f"`{next(iter(options))}` must be"):
        TaskSpec("question-answering", options=options)
