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


def test_what_is_no_yaml_is_refused_with_its_line():
    with pytest.raises(ValueError, match=r"recipe.yaml, line 2, column 1: not valid YAML"):
        load_yaml("a: [1,\n}", "recipe.yaml")


def test_text_that_looks_like_a_number_survives():
    value = {"labels": ["1", "3e-5", "no"], "rate": 3e-5}
    assert load_yaml(dump_yaml(value), "dump") == value
