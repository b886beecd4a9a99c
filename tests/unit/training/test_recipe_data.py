# SPDX-License-Identifier: Apache-2.0
"""The data of a recipe: which split is which, and what is said before a weight is loaded."""

import json
from pathlib import Path
from typing import Any

import pytest

from hf_mtl._yaml import dump_yaml, load_yaml
from hf_mtl.training.recipe import Recipe, RecipeData, RecipeError, build_plan, load_data
from hf_mtl.training.recipe.provenance import provenance

ROWS = [{"text": "good film", "label": "film"}, {"text": "dull book", "label": "book"}] * 4
CHOOSING = (
    "training.eval_strategy=epoch",
    "training.save_strategy=epoch",
    "training.load_best_model_at_end=true",
)


@pytest.fixture
def folder(tmp_path: Path, tiny_tokenizer: Any, tiny_bert_config: Any) -> Path:
    """Folder with a backbone that has no weights, so that loading one would fail."""
    tiny_bert_config.save_pretrained(tmp_path / "encoder")
    tiny_tokenizer.save_pretrained(tmp_path / "encoder")
    return tmp_path


def load(folder: Path, splits: dict[str, list[dict[str, Any]]], *overrides: str) -> RecipeData:
    for name, rows in splits.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    files = {name: f"{name}.jsonl" for name in splits}
    content = {
        "model": {"backbone": "encoder"},
        "tasks": {
            "topic": {"type": "text-classification", "data": {"path": "json", "data_files": files}}
        },
        "training": {"output_dir": "out", "use_cpu": True, "per_device_train_batch_size": 4},
    }
    (folder / "recipe.yaml").write_text(dump_yaml(content), encoding="utf-8")
    recipe = Recipe.from_file(folder / "recipe.yaml", overrides)
    data = load_data(recipe)
    build_plan(recipe, data)
    return data


@pytest.mark.parametrize("name", ["test", "validation", "dev", "eval"])
def test_the_usual_names_of_an_evaluation_split_are_found(folder, name):
    data = load(folder, {"train": ROWS, name: ROWS[:2]})
    assert data.eval_splits == {"topic": name}
    assert len(data.test) == 2
    assert data.suite["topic"].labels == ("book", "film")


def test_the_test_split_goes_before_the_validation_split_unless_the_recipe_names_one(folder):
    splits = {"train": ROWS, "validation": ROWS[:2], "test": ROWS[:4]}
    assert len(load(folder, splits).test) == 4
    assert len(load(folder, splits, "tasks.topic.data.eval_split=validation").test) == 2


def test_rows_without_a_split_to_evaluate_on_need_one_or_a_word_that_there_is_none(folder):
    with pytest.raises(RecipeError) as caught:
        load(folder, {"train": ROWS})
    assert caught.value.problems == (
        "tasks.topic.data: There is no split to evaluate on, only ['train']. Cut one off with "
        "`split: {test_size: 0.1, seed: 0}`, name one in `eval_split`, or write "
        "`eval_split: none` to do without.",
    )
    assert len(load(folder, {"train": ROWS}, "tasks.topic.data.split={test_size: 0.25}").test) == 2
    assert load(folder, {"train": ROWS}, "tasks.topic.data.eval_split=none").test is None


def test_evaluation_during_training_needs_rows_to_evaluate_on(folder):
    with pytest.raises(RecipeError) as caught:
        load(
            folder,
            {"train": ROWS},
            "tasks.topic.data.eval_split=none",
            "training.eval_strategy=epoch",
        )
    assert caught.value.problems == (
        "training.eval_strategy: `eval_strategy` must be 'no' where no source has a split to "
        "evaluate on, but got 'epoch'. Leave it out, or name a split in place of `none`.",
    )


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "tasks.topic.data.train_split=training",
            "tasks.topic.data: There is no split 'training' to train on, only ['train', 'test']. "
            "Name the one you mean in `train_split`.",
        ),
        (
            "tasks.topic.data.eval_split=tests",
            "tasks.topic.data: There is no split 'tests' to evaluate on, only ['train', 'test']. "
            "Correct `eval_split`.",
        ),
        (
            "tasks.topic.columns.text=txt",
            "tasks.topic.data: `columns` of task 'topic': 'text' must be a column of the data, but "
            "'txt' is none. Did you mean 'text'? Columns: ['text', 'label'].",
        ),
        (
            "model.num_hiden_layers=1",
            "model: Unknown field 'num_hiden_layers' for a backbone of type 'bert'. Did you mean "
            "'num_hidden_layers'?",
        ),
        (
            "model.backbone=encodr",
            "model.backbone: There is no folder 'encodr' beside the recipe or in the current "
            "folder, and it is no name on the Hub that could be reached. Did you mean 'encoder'? (",
        ),
        (
            "model.backbone=./encodr",
            "model.backbone: There is no folder './encodr' beside the recipe or in the current "
            "folder, and it is no name on the Hub that could be reached. Did you mean 'encoder'?",
        ),
        (
            "model.backbone=demo/data/minilmm",
            "model.backbone: There is no folder 'demo/data/minilmm' beside the recipe or in the "
            "current folder, and it is no name on the Hub that could be reached.",
        ),
        (
            "tasks.topic.data.nam=x",
            "tasks.topic.data: Unknown field 'nam' for data of format 'json'. Did you mean 'name'?",
        ),
    ],
)
def test_what_is_wrong_is_said_before_a_weight_is_loaded(folder, override, problem):
    with pytest.raises(RecipeError) as caught:
        load(folder, {"train": ROWS, "test": ROWS}, override)
    (found,) = caught.value.problems
    assert found.startswith(problem)


def test_labels_outside_the_declared_ones_are_reported_for_both_splits_at_once(folder):
    wrong = [*ROWS, {"text": "a", "label": "car"}]
    with pytest.raises(RecipeError) as caught:
        load(folder, {"train": wrong, "test": wrong}, "tasks.topic.labels=[film, book]")
    train, test = caught.value.problems
    assert train.startswith("tasks.topic.data, split 'train': ")
    assert test.startswith("tasks.topic.data, split 'test': ")
    assert "'car'" in train
    assert "'car'" in test


def test_text_faults_and_data_faults_are_in_one_report(folder):
    with pytest.raises(RecipeError) as caught:
        load(
            folder,
            {"train": ROWS, "test": ROWS},
            "training.seed=x",
            "model.num_hiden_layers=1",
            "tasks.topic.labels=[film]",
        )
    paths = [problem.split(":")[0] for problem in caught.value.problems]
    assert paths == [
        "training.seed",
        "model",
        "tasks.topic.data, split 'train'",
        "tasks.topic.data, split 'test'",
    ]


@pytest.mark.parametrize(
    ("override", "path", "is_judged_by_its_rows"),
    [
        ("tasks.topic.weight=-1", "tasks.topic.weight", True),
        ("tasks.topic.wieght=1", "tasks.topic.wieght", True),
        ("tasks.topic.metrics=[acuracy]", "tasks.topic.metrics", True),
        ("tasks.topic.type=text", "tasks.topic.type", False),
        ("tasks.topic.colums={text: body}", "tasks.topic.colums", False),
        ("tasks.topic.labels=film", "tasks.topic.labels", False),
    ],
)
def test_rows_of_a_wrong_task_are_in_the_report_as_far_as_they_can_be(
    folder, override, path, is_judged_by_its_rows
):
    """A field that says what is read may be all that is wrong with the rows."""
    with pytest.raises(RecipeError) as caught:
        load(folder, {"train": ROWS, "test": ROWS}, override, "tasks.topic.columns.text=txt")
    paths = [problem.split(":")[0] for problem in caught.value.problems]
    assert paths == [path] + ["tasks.topic.data"] * is_judged_by_its_rows
    with pytest.raises(RecipeError) as caught:
        load(folder, {"train": ROWS}, override)
    paths = [problem.split(":")[0] for problem in caught.value.problems]
    assert paths == [path, "tasks.topic.data"]  # no split to evaluate on


def test_a_file_that_cannot_be_parsed_is_named_with_the_reason(folder):
    (folder / "broken.jsonl").write_text('{"text": \n', encoding="utf-8")
    with pytest.raises(RecipeError, match=r"tasks.topic.data: The data cannot be read: "):
        load(folder, {"train": ROWS}, "tasks.topic.data.data_files=broken.jsonl")


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("rows.csv", "", "is empty"),
        ("rows.csv", "text,label\n", "has a header but no rows"),
        ("rows.jsonl", "", "is empty"),
        ("rows.jsonl", '{"text": "a", "label": "b"}\n\n{"text": \n', "is not valid JSON at line 3"),
        ("rows.json", '[\n{"text": "a"},\n{"text" "b"}\n]', "is not valid JSON at line 3"),
    ],
)
def test_a_file_without_rows_or_with_a_wrong_line_is_named(folder, name, text, fault):
    (folder / name).write_text(text, encoding="utf-8")
    path = "csv" if name.endswith("csv") else "json"
    with pytest.raises(RecipeError) as caught:
        load(
            folder,
            {"train": ROWS},
            f"tasks.topic.data.path={path}",
            f"tasks.topic.data.data_files={name}",
        )
    (problem,) = caught.value.problems
    assert problem.startswith("tasks.topic.data: ")
    assert f"'{folder / name}' {fault}. (" in problem


def without_a_limit(folder: Path, tokenizer: Any) -> None:
    """Takes the tokenizer's own limit away, so that nothing cuts long rows."""
    tokenizer.model_max_length = 10**30
    tokenizer.save_pretrained(folder / "encoder")


def test_a_backbone_without_its_tokenizer_is_refused(folder):
    """Transformers makes one up that knows no word."""
    for file in (folder / "encoder").glob("*token*"):
        file.unlink()
    with pytest.raises(RecipeError, match="`backbone` must come with its tokenizer, but there is"):
        load(folder, {"train": ROWS, "test": ROWS[:2]})


def test_rows_that_are_longer_than_the_backbone_reads_are_refused(folder, tiny_tokenizer):
    without_a_limit(folder, tiny_tokenizer)
    long = [*ROWS, {"text": "good " * 60, "label": "film"}]
    with pytest.raises(RecipeError) as caught:
        load(folder, {"train": ROWS, "validation": long, "test": long})
    message = (
        "Rows must have at most 32 tokens, which is what the backbone has positions for, but row 8 "
        "of source 'topic' has 62. Give `max_length` (at most 32) to its tasks: 'topic'."
    )
    assert caught.value.problems == (
        f"tasks.topic.data, split 'validation': {message}",
        f"tasks.topic.data, split 'test': {message}",
    )
    load(folder, {"train": long, "test": long}, "tasks.topic.max_length=32")


def test_a_metric_that_does_not_suit_the_labels_that_were_found_is_in_the_report(folder):
    rows = [{"words": ["a", "film"], "tags": ["DET", "NOUN"]}] * 4
    with pytest.raises(RecipeError) as caught:
        load(
            folder,
            {"train": rows, "test": rows},
            "tasks.topic.type=token-classification",
            "tasks.topic.columns={tokens: words, labels: tags}",
            "tasks.topic.metrics=[entity_f1]",
            "model.num_hiden_layers=1",
        )
    fields, metrics = caught.value.problems
    assert fields.startswith("model: ")
    assert metrics.startswith("tasks.topic.metrics: ")
    assert "DET" in metrics


def test_a_task_without_weight_is_measured_beside_the_others(folder):
    load(folder, {"train": ROWS, "test": ROWS})
    content = load_yaml((folder / "recipe.yaml").read_text("utf-8"), origin="recipe")
    content["tasks"]["silent"] = {**content["tasks"]["topic"], "weight": 0}
    (folder / "recipe.yaml").write_text(dump_yaml(content), encoding="utf-8")
    data = load_data(Recipe.from_file(folder / "recipe.yaml"))
    assert data.suite.weights == {"topic": 2.0, "silent": 0.0}
    assert list(data.test.sources) == ["topic", "silent"]


@pytest.mark.parametrize(
    "text", ["[]", '"mine"', "{", '{"archives": ["a"]}', '{"archives": 3}', "{}"]
)
def test_somebody_elses_file_of_provenance_is_left_out(folder, text):
    load(folder, {"train": ROWS, "test": ROWS})
    (folder / "provenance.json").write_text(text, encoding="utf-8")
    assert provenance(Recipe.from_file(folder / "recipe.yaml")) == []


def test_a_validation_split_beside_a_test_split_is_for_the_time_of_training(folder, caplog):
    splits = {"train": ROWS, "validation": ROWS[:2], "test": ROWS[:4]}
    data = load(folder, splits, *CHOOSING)
    assert (len(data.validation), len(data.test)) == (2, 4)
    assert not caplog.messages
    data = load(folder, splits, *CHOOSING, "tasks.topic.data.eval_split=validation")
    assert (len(data.validation), len(data.test)) == (2, 2)


def test_rows_that_choose_the_checkpoint_and_are_reported_are_pointed_out(folder, caplog):
    load(folder, {"train": ROWS, "test": ROWS[:2]}, *CHOOSING)
    assert caplog.messages == [
        "The best checkpoint is chosen on the rows that are reported, which flatters it: sources "
        "['topic'] have no validation split beside a test split."
    ]
