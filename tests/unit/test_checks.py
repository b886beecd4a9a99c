# SPDX-License-Identifier: Apache-2.0
"""Checks of names: the words of their messages."""

import pytest

from hf_mtl._checks import check_known, check_same_names, nearest


def test_the_nearest_name_is_offered_only_if_it_is_near():
    assert nearest("temprature", ["temperature", "uniform"]) == "temperature"
    assert nearest("xyz", ["temperature", "uniform"]) is None


def test_an_unknown_name_lists_what_is_known():
    with pytest.raises(KeyError, match=r"^Unknown sampler 'xyz'. Known: \['a', 'b'\].$"):
        check_known("sampler", "xyz", ["b", "a"])


def test_missing_names_are_shown():
    message = r"`data` must cover every source, but \['rte'\] are missing. Got \['mnli'\]"
    with pytest.raises(ValueError, match=message):
        check_same_names("data", ["mnli"], ["mnli", "rte"], "source")


def test_extra_names_are_shown():
    message = r"`data` has \['rte'\], which are no sources of this suite. Expected \['mnli'\]"
    with pytest.raises(ValueError, match=message):
        check_same_names("data", ["mnli", "rte"], ["mnli"], "source")
