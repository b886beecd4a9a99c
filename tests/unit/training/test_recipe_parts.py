# SPDX-License-Identifier: Apache-2.0
"""Parts of a recipe that must fit its tasks: losses and samplers."""

import pytest

from hf_mtl._yaml import dump_yaml
from hf_mtl.training.recipe import Recipe

TOPIC = {"type": "text-classification", "labels": ["film", "book"]}
WEIGHTED = {"name": "focal", "class_weights": {"flim": 2.0}}


def faults(folder, *, topic=None, mixture=None):
    """What is wrong with a recipe of one task that is right but for what is given."""
    (folder / "news.csv").write_text("text,label\n")
    data = {"path": "csv", "data_files": "news.csv"}
    content = {
        "model": {"backbone": "bert-base-uncased"},
        "tasks": {"topic": {**TOPIC, "data": data, **(topic or {})}},
        "mixture": mixture or {},
        "training": {"output_dir": "out"},
    }
    (folder / "recipe.yaml").write_text(dump_yaml(content), encoding="utf-8")
    return Recipe.from_file(folder / "recipe.yaml").faults


def test_a_loss_and_a_sampler_that_fit_are_no_fault(tmp_path):
    loss = {"name": "cross_entropy", "class_weights": {"film": 2.0}}
    sampler = {"name": "fixed", "probabilities": {"topic": 1.0}}
    assert faults(tmp_path, topic={"loss": loss}, mixture={"sampler": sampler}) == ()


@pytest.mark.parametrize(
    ("loss", "problem"),
    [
        (
            "mse",
            "tasks.topic.loss: `loss` of task 'topic' must suit a text-classification task, but "
            "got 'mse'. Choose from ['cross_entropy', 'focal'].",
        ),
        (
            WEIGHTED,
            "tasks.topic.loss: Unknown label in `class_weights` 'flim'. Did you mean 'film'? "
            "Known: ['book', 'film'].",
        ),
    ],
)
def test_a_loss_that_does_not_fit_is_named_at_its_task(tmp_path, loss, problem):
    assert faults(tmp_path, topic={"loss": loss}) == (problem,)


def test_a_sampler_for_other_sources_is_named_at_the_mixture(tmp_path):
    sampler = {"name": "stages", "stages": [["topics"]]}
    assert faults(tmp_path, mixture={"sampler": sampler}) == (
        "mixture.sampler: `stages` must cover every source, but ['topic'] are missing. "
        "Got ['topics'].",
    )


def test_a_sampler_that_follows_the_run_is_no_fault(tmp_path):
    assert faults(tmp_path, mixture={"sampler": "online_mixing"}) == ()


def test_a_sampler_that_goes_by_evaluations_is_named_where_there_are_none(tmp_path):
    (problem,) = faults(tmp_path, mixture={"sampler": "stop_and_go"})
    assert problem == (
        "mixture.sampler: `eval_strategy` must be 'steps' or 'epoch' with 'stop_and_go', a sampler "
        "that goes by evaluations, but got 'no'."
    )
