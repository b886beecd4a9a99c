# SPDX-License-Identifier: Apache-2.0
"""Overrides from the command line against recipes that can be seen at a glance."""

import pytest

from hf_mtl.training.recipe.overrides import apply_overrides
from hf_mtl.training.recipe.problems import Problems

RECIPE = {
    "model": {"backbone": "bert"},
    "tasks": {"topic": {"type": "regression", "metrics": ["rmse"]}},
    "training": {"seed": 1},
}


def overridden(*overrides):
    problems = Problems("recipe.yaml")
    return apply_overrides(RECIPE, overrides, problems), problems.found


@pytest.mark.parametrize(
    ("text", "value"),
    [("3e-5", 3e-5), ("all", "all"), ("true", True), ("[a, b]", ["a", "b"]), ("a=b", "a=b")],
)
def test_a_value_is_read_as_yaml(text, value):
    changed, problems = overridden(f"training.seed={text}")
    assert changed["training"] == {"seed": value}
    assert problems == ()


def test_a_field_that_is_not_in_the_file_is_added():
    changed, problems = overridden(
        "tasks.topic.weight=0.5", "tasks.topic.columns.text=body", "mixture.tasks_per_step=all"
    )
    assert changed["tasks"]["topic"]["weight"] == 0.5
    assert changed["tasks"]["topic"]["columns"] == {"text": "body"}
    assert changed["mixture"] == {"tasks_per_step": "all"}
    assert problems == ()


def test_the_recipe_itself_stays_as_it_is():
    overridden("training.seed=2")
    assert RECIPE["training"] == {"seed": 1}


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "trainig.seed=2",
            "trainig.seed: Unknown section 'trainig'. Did you mean 'training'? Known: "
            "['balancing', 'mixture', 'model', 'sources', 'tasks', 'training'].",
        ),
        (
            "tasks.topik.weight=2",
            "tasks.topik.weight: Unknown task 'topik'. Did you mean 'topic'? Known: ['topic'].",
        ),
        ("sources.x.path=csv", "sources.x.path: Unknown source 'x'. Known: []."),
        (
            "tasks.topic.metrics.first=mae",
            "tasks.topic.metrics.first: `tasks.topic.metrics` must be a mapping to be changed in "
            "part, but is ['rmse']. Override the whole of `tasks.topic.metrics`.",
        ),
        (
            "training.seed",
            "override 'training.seed': An override must be `dotted.path=value`, such as "
            "`training.learning_rate=3e-5`.",
        ),
        (
            "training.seed={",
            "training.seed: override 'training.seed={', line 1, column 2: not valid YAML",
        ),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(override, problem):
    changed, (found,) = overridden(override)
    assert found.startswith(problem)
    assert changed == RECIPE
