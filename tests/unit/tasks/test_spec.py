# SPDX-License-Identifier: Apache-2.0
"""Task specs: what they hold, and what they refuse."""

import json

import pytest

from hf_mtl.tasks import TaskSpec

FULL = TaskSpec(
    "text-classification",
    columns={"text": "premise", "text_pair": "hypothesis", "label": "gold"},
    labels=("yes", "no"),
    metrics=("accuracy", {"name": "evaluate", "path": "glue"}),
    weight=0.5,
    head={"name": "pooled", "pooling": "mean"},
    source="pairs",
    max_length=64,
    batch_size=16,
)


@pytest.mark.parametrize("spec", [TaskSpec("regression"), FULL])
def test_a_spec_survives_json(spec):
    assert TaskSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_defaults_are_not_written():
    assert TaskSpec("regression").to_dict() == {"type": "regression"}


def test_a_role_left_out_is_in_the_column_of_its_name():
    spec = TaskSpec("text-classification", columns={"text": "body"})
    assert spec.input_columns() == {"text": "body"}
    assert spec.label_column == "label"


def test_an_optional_role_counts_only_when_given():
    assert FULL.input_columns() == {"text": "premise", "text_pair": "hypothesis"}


def test_words_are_in_the_role_that_data_sets_call_tokens():
    spec = TaskSpec("token-classification", columns={"tokens": "words", "labels": "tags"})
    assert spec.input_columns() == {"text": "words"}
    assert TaskSpec("token-classification").input_columns() == {"text": "tokens"}


def test_metrics_default_to_those_of_the_type():
    assert TaskSpec("regression").metric_entries == ("pearson", "rmse")


def test_labels_are_needed_only_where_they_have_names():
    assert TaskSpec("text-classification").needs_labels
    assert not TaskSpec("regression").needs_labels


def test_a_spec_cannot_be_changed_from_outside():
    columns = {"text": "body"}
    spec = TaskSpec("regression", columns=columns)
    columns["text"] = "other"
    assert spec.column("text") == "body"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"type": "text-clasification"}, KeyError, "Did you mean 'text-classification'"),
        ({"columns": {"txt": "a"}}, ValueError, "role in `columns` 'txt'. Did you mean 'text'"),
        ({"columns": {"text": 3}}, TypeError, "must name a column for 'text', but got 3"),
        ({"columns": "body"}, TypeError, "must be a mapping of roles to columns"),
        ({"labels": "yes"}, TypeError, "`labels` must be a list of names, but got 'yes'"),
        ({"labels": 5}, TypeError, "`labels` must be a list of names, but got 5"),
        ({"labels": [0, 1]}, TypeError, "Put numbers in quotes"),
        ({"labels": ["a", "a"]}, ValueError, "must be distinct"),
        ({"labels": []}, ValueError, "at least one"),
        ({"metrics": "accuracy"}, TypeError, "`metrics` must be a list"),
        ({"metrics": None}, TypeError, "`metrics` must be a list of metrics, but got None"),
        ({"metrics": [3]}, TypeError, "must hold names or mappings with a `name`, but got 3"),
        ({"source": 5}, TypeError, "`source` must be a name, but got 5"),
        ({"source": ""}, TypeError, "`source` must be a name"),
        ({"weight": -1}, ValueError, "`weight` must be finite and not negative, but got -1"),
        ({"weight": "high"}, TypeError, "`weight` must be a number, but got 'high'"),
        ({"weight": float("nan")}, ValueError, "`weight` must be finite"),
        ({"max_length": 0}, ValueError, "`max_length` must be at least 1, but got 0"),
        ({"detached": "yes"}, TypeError, "`detached` must be true or false, but got 'yes'"),
        ({"batch_size": 2.5}, TypeError, "`batch_size` must be a whole number, but got 2.5"),
        ({"batch_tokens": 0}, ValueError, "`batch_tokens` must be at least 1, but got 0"),
        (
            {"batch_tokens": 64, "batch_size": 8},
            ValueError,
            "`batch_tokens` must be left out beside `batch_size`, but got 64 beside 8. Say how",
        ),
    ],
)
def test_wrong_values_are_refused_in_the_users_words(arguments, error, words):
    with pytest.raises(error, match=words):
        TaskSpec(**{"type": "text-classification", **arguments})


def test_labels_of_a_number_are_refused():
    with pytest.raises(ValueError, match="must be left out for a task whose label is a number"):
        TaskSpec("regression", labels=["a"])


def test_an_unknown_field_offers_the_nearest():
    with pytest.raises(TypeError, match=r"field of a task 'wieght'. Did you mean 'weight'"):
        TaskSpec.from_dict({"type": "regression", "wieght": 1})


def test_a_missing_type_is_named():
    with pytest.raises(TypeError, match="`type` of a task must be given"):
        TaskSpec.from_dict({"weight": 1})


def test_unknown_labels_say_how_they_become_known():
    with pytest.raises(ValueError, match="`labels` of task 'topic' must be known here"):
        TaskSpec("text-classification").known_labels("topic")
