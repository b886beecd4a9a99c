# SPDX-License-Identifier: Apache-2.0
"""The quickstart's recipe as far as its text goes; its data files are empty here."""

import re
from pathlib import Path

import pytest

from hf_mtl.training.recipe import Recipe

CONFIG = Path(__file__).parents[2] / "recipes" / "quickstart" / "config.yaml"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    for file in re.findall(r"demo/data/[\w-]+\.jsonl", CONFIG.read_text()):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
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
