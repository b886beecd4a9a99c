# SPDX-License-Identifier: Apache-2.0
"""Registries: names to objects and back, and what is said when a name is wrong."""

from dataclasses import dataclass

import pytest

from hf_mtl._registry import Registry
from hf_mtl.data import SAMPLERS


@dataclass(frozen=True)
class Square:
    side: float = 1.0


@dataclass(frozen=True)
class Rectangle:
    width: float
    height: float = 1.0


@pytest.fixture
def shapes():
    registry = Registry("shape")
    registry.register("square")(Square)
    registry.register("rectangle")(Rectangle)
    return registry


def test_a_name_builds_the_defaults(shapes):
    assert shapes.build("square") == Square(side=1.0)


def test_build_and_to_config_are_inverses(shapes):
    entry = {"name": "rectangle", "width": 2.0, "height": 3.0}
    assert shapes.to_config(shapes.build(entry)) == entry


def test_names_come_in_the_order_of_registration(shapes):
    assert shapes.names() == ("square", "rectangle")


def test_a_name_is_claimed_once(shapes):
    with pytest.raises(ValueError, match=r"'square' is taken by .*Square. Choose another name"):
        shapes.register("square")(Rectangle)


def test_an_unknown_name_offers_the_nearest(shapes):
    with pytest.raises(KeyError, match=r"^Unknown shape 'sqare'. Did you mean 'square'\?"):
        shapes.build("sqare")


def test_an_unknown_field_offers_the_nearest(shapes):
    with pytest.raises(TypeError, match=r"field of shape 'square' 'sid'. Did you mean 'side'"):
        shapes.build({"name": "square", "sid": 2.0})


def test_a_missing_field_is_named(shapes):
    with pytest.raises(TypeError, match=r"shape 'rectangle' must be given \['width'\]"):
        shapes.build({"name": "rectangle", "height": 2.0})


@pytest.mark.parametrize("entry", [3, ["square"], {"side": 2.0}, {"name": 3}])
def test_what_is_neither_name_nor_mapping_is_refused(shapes, entry):
    with pytest.raises(TypeError, match="must be a name or a mapping with a `name`"):
        shapes.build(entry)


@pytest.mark.parametrize("time", ["first", "second"])
def test_a_name_that_a_test_claims_is_free_again_in_the_next(time):
    SAMPLERS.register("passing")(Square)
