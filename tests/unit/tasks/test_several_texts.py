# SPDX-License-Identifier: Apache-2.0
"""Rows of several texts: what they become, and what is none."""

import pytest

from hf_mtl.tasks import INPUTS, LABELS, LabelColumn, TaskSpec

CHOICES, COMPARISON = INPUTS.build("choices"), INPUTS.build("comparison")
CHOICE, PREFERENCE = LABELS.build("choice"), LABELS.build("preference")


def words_of(tokenizer, sequences):
    return [tokenizer.decode(each["input_ids"]) for each in sequences]


def rows_of(features):
    names = list(features)
    return [
        dict(zip(names, values, strict=True)) for values in zip(*features.values(), strict=True)
    ]


def test_each_choice_is_the_pair_of_its_text(tiny_tokenizer):
    columns = {"text": ["the film", "Ada"], "choices": [["good", "bad !"], ["Byron"]]}
    features = CHOICES.encode(columns, tiny_tokenizer)
    first, second = rows_of(features)
    assert words_of(tiny_tokenizer, CHOICES.sequences(first)) == [
        "[CLS] the film [SEP] good [SEP]",
        "[CLS] the film [SEP] bad ! [SEP]",
    ]
    assert words_of(tiny_tokenizer, CHOICES.sequences(second)) == ["[CLS] Ada [SEP] Byron [SEP]"]


def test_texts_are_compared_alone_or_after_what_they_share(tiny_tokenizer):
    columns = {"chosen": ["good"], "rejected": ["bad"]}
    (row,) = rows_of(COMPARISON.encode(columns, tiny_tokenizer))
    assert words_of(tiny_tokenizer, COMPARISON.sequences(row)) == [
        "[CLS] good [SEP]",
        "[CLS] bad [SEP]",
    ]
    (row,) = rows_of(COMPARISON.encode({"text": ["the film"], **columns}, tiny_tokenizer))
    assert words_of(tiny_tokenizer, COMPARISON.sequences(row)) == [
        "[CLS] the film [SEP] good [SEP]",
        "[CLS] the film [SEP] bad [SEP]",
    ]


def test_each_sequence_is_cut_off(tiny_tokenizer):
    columns = {"text": ["the film was very good"], "choices": [["a great book", "."]]}
    (row,) = rows_of(CHOICES.encode(columns, tiny_tokenizer, max_length=6))
    assert [len(each["input_ids"]) for each in CHOICES.sequences(row)] == [6, 6]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a", None], "choices": [["b"]] * 2}, "`text` must be a text in every row, but "
         "row 1 holds None"),
        ({"text": ["a"], "choices": ["b"]}, "`choices` must be a list of texts in every row, but "
         "row 0 holds 'b'"),
        ({"text": ["a"], "choices": [[]]}, r"row 0 holds \[\]"),
        ({"text": ["a"], "choices": [["b", None]]}, r"row 0 holds \['b', None\]"),
    ],
)  # fmt: skip
def test_what_is_no_row_of_choices_is_refused(tiny_tokenizer, columns, message):
    with pytest.raises(ValueError, match=message):
        CHOICES.encode(columns, tiny_tokenizer)


def test_a_text_that_is_missing_in_a_pair_is_refused(tiny_tokenizer):
    with pytest.raises(ValueError, match="`rejected` must be a text in every row, but row 1 holds"):
        COMPARISON.encode({"chosen": ["a", "b"], "rejected": ["c", None]}, tiny_tokenizer)


@pytest.mark.parametrize("kind", [CHOICES, COMPARISON])
def test_words_of_several_texts_are_refused(kind, tiny_tokenizer):
    with pytest.raises(ValueError, match="must have one text a row as its input"):
        kind.check(tiny_tokenizer, with_words=True)
    kind.check(tiny_tokenizer, with_words=False)


def test_a_label_is_the_index_of_a_choice_or_its_text():
    choices = [["3", "5"], ["a", "b"], ["a", "b"], ["a", "b"], ["a"], ["a"]]
    values = ["3", "b", "1", 1.0, None, float("nan")]
    column = LabelColumn(values, "ending", inputs={"choices": choices})
    assert CHOICE.encode(column) == [0, 1, 1, 1, -100, -100]


@pytest.mark.parametrize("value", [2, -1, "c", 0.5, True, "-1"])
def test_a_label_that_is_no_choice_of_its_row_is_refused(value):
    inputs = {"choices": [["a", "b", "c"], ["a", "b"]]}
    column = LabelColumn([0, value], "ending", inputs=inputs, first_row=10)
    message = rf"'ending' must be a choice of its row.* row 11 has {value!r} for \['a', 'b'\]"
    with pytest.raises(ValueError, match=message):
        CHOICE.encode(column)


def test_a_label_that_may_be_an_index_and_a_text_is_refused():
    choices = {"choices": [["1", "2", "3"], ["0", "1"]]}
    column = LabelColumn([1, "1"], "sum", (), inputs=choices)
    assert CHOICE.encode(column) == [1, 1]  # both readings agree in the second row
    column = LabelColumn(["1", "1"], "sum", (), inputs=choices)
    with pytest.raises(ValueError, match="'1' in row 0 is the text of choice 0 and may be the ind"):
        CHOICE.encode(column)


def test_labels_of_choices_need_choices():
    with pytest.raises(ValueError, match="'ending' must be those of rows with `choices`"):
        CHOICE.encode(LabelColumn([0], "ending"))


def test_a_preference_is_a_name_or_a_place():
    values = ["chosen", "rejected", 0, 1.0, None]
    assert PREFERENCE.encode(LabelColumn(values, "better")) == [0, 1, 0, 1, -100]


@pytest.mark.parametrize("value", ["draw", 2, True])
def test_a_preference_for_nothing_is_refused(value):
    with pytest.raises(ValueError, match=rf"'better' must be 'chosen' or 0.* row 3 has {value!r}"):
        PREFERENCE.encode(LabelColumn([value], "better", first_row=3))


def test_choices_may_lie_in_several_columns():
    spec = TaskSpec("multiple-choice", columns={"text": "ctx", "choices": ["a", "b"]})
    assert spec.input_columns() == {"text": "ctx", "choices": ("a", "b")}
    assert spec.to_dict()["columns"] == {"text": "ctx", "choices": ["a", "b"]}
    assert TaskSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize("columns", [{"text": ["a", "b"]}, {"choices": []}, {"choices": [1]}])
def test_other_roles_have_one_column(columns):
    with pytest.raises(TypeError, match="`columns` must name a column for"):
        TaskSpec("multiple-choice", columns=columns)


def test_pairs_need_no_column_of_labels():
    assert TaskSpec("pairwise-ranking").label_column is None
    assert TaskSpec("pairwise-ranking", columns={"label": "winner"}).label_column == "winner"
    assert TaskSpec("multiple-choice").label_column == "label"


@pytest.mark.parametrize(
    ("row", "roles"),
    [
        ("good", {"chosen", "rejected"}),
        ({"chosen": "a", "rejected": "b"}, {"chosen", "rejected"}),
        ({"text": "q", "chosen": "a"}, {"text", "chosen", "rejected"}),
    ],
)
def test_a_single_text_stands_for_a_pair(row, roles):
    assert COMPARISON.accepts(row)
    assert COMPARISON.roles_of(row) == roles


def test_single_texts_and_pairs_are_not_scored_in_one_call():
    with pytest.raises(ValueError, match="must have a `rejected`, but got both"):
        COMPARISON.from_raw(["a", {"chosen": "a", "rejected": "b"}])
