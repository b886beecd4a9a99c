# SPDX-License-Identifier: Apache-2.0
"""Label names, read from features or found in rows."""

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from hf_mtl.data import find_labels
from hf_mtl.tasks import TaskSpec, TaskSuite


def names_of(task_type, rows, features=None):
    """Label names that are found for one task of that type."""
    suite = TaskSuite({"kind": TaskSpec(task_type)})
    found = find_labels(suite, {"kind": Dataset.from_dict(rows, features=features)})
    return found["kind"].labels


def test_names_of_a_class_label_feature_keep_their_order():
    features = Features({"text": Value("string"), "label": ClassLabel(names=["ham", "eggs"])})
    rows = {"text": ["a"], "label": [0]}
    assert names_of("text-classification", rows, features) == ("ham", "eggs")


def test_names_of_a_list_of_class_labels_are_read():
    features = Features(
        {"tokens": List(Value("string")), "labels": List(ClassLabel(names=["O", "B"]))}
    )
    rows = {"tokens": [["a", "b"]], "labels": [[1, 0]]}
    assert names_of("token-classification", rows, features) == ("O", "B")


def test_names_that_occur_are_found_and_sorted():
    rows = {"text": ["a"] * 4, "label": ["ham", "eggs", None, "ham"]}
    assert names_of("text-classification", rows) == ("eggs", "ham")


def test_numbers_sort_as_numbers():
    rows = {"text": ["a"] * 3, "label": [10, 9, 1]}
    assert names_of("text-classification", rows) == ("1", "9", "10")


def test_names_in_lists_are_found():
    rows = {"tokens": [["a", "b"], ["c"], ["d"]], "labels": [["O", "B"], None, ["I"]]}
    assert names_of("token-classification", rows) == ("B", "I", "O")


def test_rows_that_a_selection_leaves_out_do_not_count():
    suite = TaskSuite({"kind": TaskSpec("text-classification")})
    rows = Dataset.from_dict({"text": ["a"] * 3, "label": ["x", "y", "z"]}).select([2, 0])
    assert find_labels(suite, {"kind": rows})["kind"].labels == ("x", "z")


def test_given_names_and_scores_stay_as_they_are():
    suite = TaskSuite(
        {
            "kind": TaskSpec("text-classification", labels=("a", "b")),
            "score": TaskSpec("regression"),
        }
    )
    assert find_labels(suite, {}) == suite


def test_a_column_without_any_label_is_refused():
    rows = {"text": ["a", "b"], "label": [None, None]}
    with pytest.raises(ValueError, match=r"data of task 'kind' must have labels, but every row of"):
        names_of("text-classification", rows)


def test_a_missing_column_offers_the_nearest():
    rows = {"text": ["a"], "lable": ["x"]}
    with pytest.raises(KeyError, match=r"'label' is none. Did you mean 'lable'\?"):
        names_of("text-classification", rows)


def test_a_missing_source_is_named_with_the_argument():
    suite = TaskSuite({"kind": TaskSpec("text-classification")})
    rows = Dataset.from_dict({"text": ["a"], "label": ["x"]})
    message = r"`train_dataset` must cover every source, but \['kind'\] are missing. Got \['knd'\]"
    with pytest.raises(ValueError, match=message):
        find_labels(suite, {"knd": rows})
