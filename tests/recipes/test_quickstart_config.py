# SPDX-License-Identifier: Apache-2.0
"""The quickstart's recipe as far as its text goes; the data need not be there."""

from pathlib import Path

import pytest

from hf_mtl.training.recipe import Recipe

CONFIG = Path(__file__).parents[2] / "recipes" / "quickstart" / "config.yaml"


@pytest.fixture(scope="module")
def recipe():
    return Recipe.from_file(CONFIG)


def test_the_recipe_has_no_fault(recipe):
    recipe.raise_faults()


def test_four_tasks_stand_on_three_sources(recipe):
    assert recipe.suite.sources == {
        "news": ("topic",),
        "reviews": ("valence",),
        "names": ("parts", "kind"),
    }


def test_equal_rows_of_unsplit_sources_stay_on_one_side(recipe):
    rules = {name: recipe.sources[name].data["split"] for name in ("reviews", "names")}
    assert {name: rule["group_by"] for name, rule in rules.items()} == {
        "reviews": "sentence",
        "names": "name",
    }


def test_the_tags_are_declared_because_some_are_rare(recipe):
    tags = recipe.suite["parts"].labels
    assert len(tags) == 23
    assert "CareOf" in tags
