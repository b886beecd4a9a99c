# SPDX-License-Identifier: Apache-2.0
"""Model cards, read back as the Hub reads them."""

from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from hf_mtl.hub import RunResults, render_card
from hf_mtl.tasks import TaskSpec, TaskSuite


def result(task, kind, source, metric, value, baseline, greater_is_better=True):
    return {
        "task": task,
        "type": kind,
        "source": source,
        "num_rows": 2121,
        "metric": metric,
        "value": value,
        "baseline": baseline,
        "greater_is_better": greater_is_better,
    }


TEXT = "text-classification"
RUN = RunResults(
    suite=TaskSuite(
        {
            "kind": TaskSpec(TEXT, labels=("person", "company"), source="names"),
            "length": TaskSpec(TEXT, labels=("long", "short"), source="names"),
            "valence": TaskSpec("regression"),
        }
    ),
    results=[
        result("kind", TEXT, "names", "accuracy", 0.971, 0.677),
        result("length", TEXT, "names", "accuracy", 0.5, 0.5),
        result("valence", "regression", "valence", "pearson", None, None),
        result("valence", "regression", "valence", "rmse", 1.25, 1.5, greater_is_better=False),
    ],
    backbone="demo/data/minilm",
    seed=7,
    num_parameters=22_713_216,
    num_train_rows={"names": 3424, "valence": 8484},
    settings={"mixture": {"tasks_per_step": "all"}, "training": {"learning_rate": 2e-4}},
    seconds={"training": 432.4},
    machine={"processor": "Some CPU | 2 cores"},
    versions={"torch": "2.13.0"},
    data=[{"name": "a-package", "version": "0.5", "license": "MIT", "sha256": "abc123"}],
    command="hf-mtl train recipes/quickstart/config.yaml",
)


@pytest.fixture
def card():
    return ModelCard(render_card(RUN, model_name="quickstart", license_name="apache-2.0"))


def test_the_hub_reads_every_result_that_is_defined(card):
    read = [
        (each.task_type, each.task_name, each.dataset_name, each.metric_type, each.metric_value)
        for each in card.data.eval_results
    ]
    assert read == [
        (TEXT, "kind", "names", "accuracy", 0.971),
        (TEXT, "length", "names", "accuracy", 0.5),
        ("regression", "valence", "valence", "rmse", 1.25),
    ]
    assert card.data.model_name == "quickstart"


def test_the_front_matter_says_library_licence_and_kinds_of_task(card):
    assert card.data.library_name == "hf_mtl"
    assert card.data.license == "apache-2.0"
    assert card.data.tags == ["multi-task", "hf_mtl", TEXT, "regression"]
    assert card.data.metrics == ["accuracy", "pearson", "rmse"]


@pytest.mark.parametrize(
    ("backbone", "given", "expected"),
    [
        ("bert-base-uncased", None, "bert-base-uncased"),
        ("owner/encoder", None, "owner/encoder"),
        ("demo/data/minilm", None, None),
        ("/data/minilm", None, None),
        ("./minilm", None, None),
        ("demo/data/minilm", "owner/encoder", "owner/encoder"),
    ],
)
def test_a_path_is_no_base_model(backbone, given, expected):
    run = replace(RUN, backbone=backbone)
    card = ModelCard(render_card(run, model_name="m", base_model=given))
    assert card.data.base_model == expected


def test_the_table_shows_values_beside_constant_answers_and_which_way_is_better(card):
    assert "| kind | 2,121 | accuracy ↑ | 0.971 | 0.677 |" in card.text
    assert "| valence | 2,121 | pearson ↑ | - | - |" in card.text
    assert "| valence | 2,121 | rmse ↓ | 1.250 | 1.500 |" in card.text


def test_the_card_says_how_to_use_the_model_and_how_it_came_about(card):
    for words in (
        "MultiTaskModel.from_pretrained('quickstart')",
        "model.to_single_task('kind')",
        "(22.7 M parameters) with 3 tasks",
        "- **kind**: text-classification; 2 labels: `person`, `company`",
        "| a-package | 0.5 | MIT | abc123 | - |",
        "Rows trained on: names 3,424, valence 8,484.",
        "hf-mtl train recipes/quickstart/config.yaml",
        "| mixture.tasks_per_step | all |",
        "| training.learning_rate | 0.0002 |",
        "| training took | 7 min 12 s |",
        "| torch | 2.13.0 |",
        "seed 7",
    ):
        assert words in card.text


def test_a_bar_in_a_value_does_not_end_its_cell(card):
    assert r"| processor | Some CPU \| 2 cores |" in card.text


def test_the_same_run_gives_the_same_card():
    assert render_card(RUN, model_name="m") == render_card(RUN, model_name="m")


def test_what_is_not_known_leaves_no_empty_section():
    bare = RunResults(suite=RUN.suite, results=RUN.results, backbone="owner/encoder", seed=7)
    text = render_card(bare, model_name="m")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["# m", "## Results", "## Use"]


def test_a_run_without_a_defined_result_still_has_a_card():
    run = replace(RUN, results=[RUN.results[2]])
    assert ModelCard(render_card(run, model_name="m")).data.eval_results is None


def test_the_example_of_export_takes_a_task_whose_head_can_be_exported():
    pooled = RUN.suite.replace("kind", head="pooled")
    card = render_card(replace(RUN, suite=pooled), model_name="quickstart")
    assert "to_single_task('length')" in card
    for task in ("length", "valence"):
        pooled = pooled.replace(task, head="pooled")
    card = render_card(replace(RUN, suite=pooled), model_name="quickstart")
    assert "to_single_task" not in card


@pytest.mark.parametrize(
    ("spec", "call"),
    [
        (TaskSpec("regression"), "model.predict('ok')"),
        (
            TaskSpec("regression", columns={"text_pair": "other"}),
            "model.predict({'text': 'ok', 'text_pair': 'ok'})",
        ),
        (TaskSpec("image-classification"), "model.predict(PIL.Image.open('picture.png'))"),
    ],
)
def test_the_example_of_use_suits_the_first_task(spec, call):
    run = replace(RUN, suite=TaskSuite({"first": spec, **RUN.suite}))
    assert call in render_card(run, model_name="quickstart", example="ok")
