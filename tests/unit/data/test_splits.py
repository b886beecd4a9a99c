# SPDX-License-Identifier: Apache-2.0
"""Splits and subsamples on rows that can be counted by hand."""

from collections import Counter

import pytest
from datasets import Dataset

from hf_mtl.data import split_dataset, subsample


@pytest.fixture
def rows():
    """Twenty rows: five authors with four rows each, one row in four is spam."""
    return Dataset.from_dict(
        {
            "id": list(range(20)),
            "author": [f"author{i // 4}" for i in range(20)],
            "spam": [i % 4 == 0 for i in range(20)],
        }
    )


def ids(dataset):
    return dataset["id"][:]


def test_a_split_has_every_row_on_one_side(rows):
    split = split_dataset(rows, test_size=0.25, seed=1)
    assert split["test"].num_rows == 5
    assert sorted(ids(split["train"]) + ids(split["test"])) == list(range(20))


@pytest.mark.parametrize("by", [{}, {"stratify_by": "spam"}, {"group_by": "author"}])
def test_one_seed_gives_one_split(rows, by):
    splits = [split_dataset(rows, test_size=0.4, seed=seed, **by) for seed in (1, 1, 2)]
    tests = [ids(split["test"]) for split in splits]
    assert tests[0] == tests[1] != tests[2]


def test_a_stratified_split_keeps_the_shares_of_the_values(rows):
    split = split_dataset(rows, test_size=8, seed=0, stratify_by="spam")
    assert Counter(split["test"]["spam"]) == {True: 2, False: 6}
    assert Counter(split["train"]["spam"]) == {True: 3, False: 9}


def test_a_grouped_split_has_no_group_on_both_sides(rows):
    split = split_dataset(rows, test_size=0.4, seed=0, group_by="author")
    train, test = (set(split[name]["author"]) for name in ("train", "test"))
    assert (len(train), len(test)) == (3, 2)
    assert train.isdisjoint(test)
    assert split["train"].num_rows + split["test"].num_rows == 20


def test_rows_without_a_group_are_one_group():
    rows = Dataset.from_dict({"author": ["a", None, "b", None, "c", None]})
    split = split_dataset(rows, test_size=0.5, seed=0, group_by="author")
    assert set(split["train"]["author"]).isdisjoint(split["test"]["author"])


def test_a_subsample_is_seeded_and_keeps_the_order_of_rows(rows):
    sample = subsample(rows, 5, seed=1)
    assert ids(sample) == ids(subsample(rows, 5, seed=1)) == sorted(ids(sample))
    assert sample.num_rows == 5
    assert ids(sample) != ids(subsample(rows, 5, seed=2))


def test_a_subsample_is_no_prefix(rows):
    assert ids(subsample(rows, 5, seed=1)) != [0, 1, 2, 3, 4]


def test_a_subsample_of_more_than_there_is_is_all(rows):
    assert subsample(rows, 100) is rows


def test_both_ways_to_split_at_once_are_refused(rows):
    with pytest.raises(ValueError, match=r"Only one of `stratify_by` and `group_by`"):
        split_dataset(rows, test_size=0.5, stratify_by="spam", group_by="author")


@pytest.mark.parametrize("name", ["stratify_by", "group_by"])
def test_a_missing_column_shows_the_nearest_and_all(rows, name):
    message = f"`{name}` must be a column of the data, but 'auther' is none. Did you mean 'author'"
    with pytest.raises(KeyError, match=message) as caught:
        split_dataset(rows, test_size=0.5, **{name: "auther"})
    assert "Columns: ['id', 'author', 'spam']" in str(caught.value)


def test_a_value_that_occurs_once_cannot_be_stratified(rows):
    with pytest.raises(ValueError, match=r"every value occurs at least twice, but 0 occurs once"):
        split_dataset(rows, test_size=0.5, stratify_by="id")


def test_one_group_cannot_be_split():
    rows = Dataset.from_dict({"author": ["a", "a", "a"]})
    with pytest.raises(
        ValueError, match=r"more groups than go to the test split, but 'author' has"
    ):
        split_dataset(rows, test_size=0.5, group_by="author")


@pytest.mark.parametrize("test_size", [0, 0.0, 1.0, 1.5, -1, 20, 21])
def test_a_split_leaves_rows_on_both_sides(rows, test_size):
    with pytest.raises(ValueError, match=rf"`test_size` must be .* but got {test_size}\."):
        split_dataset(rows, test_size=test_size)


def test_a_string_is_no_test_size(rows):
    with pytest.raises(TypeError, match=r"`test_size` must be a number, but got '20%'"):
        split_dataset(rows, test_size="20%")


@pytest.mark.parametrize("max_examples", ["100", 1.5, True])
def test_max_examples_is_a_whole_number(rows, max_examples):
    with pytest.raises(TypeError, match=r"`max_examples` must be a positive whole number"):
        subsample(rows, max_examples)
