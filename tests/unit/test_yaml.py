# SPDX-License-Identifier: Apache-2.0
"""YAML without its traps."""

import pytest

from hf_mtl._yaml import dump_yaml, load_yaml


@pytest.mark.parametrize(
    ("text", "number"), [("3e-5", 3e-5), ("1e3", 1000.0), ("-2.5E+1", -25.0), ("0.5", 0.5)]
)
def test_numbers_in_scientific_notation_are_numbers(text, number):
    assert load_yaml(text, "recipe") == number


def test_a_key_given_twice_is_refused_with_its_line():
    with pytest.raises(ValueError, match=r"recipe.yaml, line 2.*'topic' is given twice"):
        load_yaml("topic: 1\ntopic: 2\n", "recipe.yaml")


def test_keys_given_twice_are_all_noted_for_a_caller_that_goes_on():
    repeated: list[str] = []
    value = load_yaml("a: {x: 1, x: 2}\nb: 1\nb: 3\n", "recipe.yaml", repeated=repeated)
    assert value == {"a": {"x": 2}, "b": 3}
    assert repeated == [
        "line 1, column 11: the key 'x' is given twice.",
        "line 3, column 1: the key 'b' is given twice.",
    ]


def test_what_is_no_yaml_is_refused_with_its_line():
    with pytest.raises(ValueError, match=r"recipe.yaml, line 2, column 1: not valid YAML"):
        load_yaml("a: [1,\n}", "recipe.yaml")


def test_text_that_looks_like_a_number_survives():
    value = {"labels": ["1", "3e-5", "no"], "rate": 3e-5}
    assert load_yaml(dump_yaml(value), "dump") == value
