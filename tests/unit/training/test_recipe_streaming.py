# SPDX-License-Identifier: Apache-2.0
"""A source with ``streaming: true``: what a recipe may say of it, and what it then is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hf_mtl._yaml import dump_yaml
from hf_mtl.data import StreamSource
from hf_mtl.training.recipe import Recipe, RecipeData, RecipeError, build_plan, load_data

ROWS = [{"text": "good film", "label": "film"}, {"text": "dull book", "label": "book"}] * 4
SETTINGS = ("training.max_steps=5",)


@pytest.fixture
def folder(tmp_path: Path, tiny_tokenizer: Any, tiny_bert_config: Any) -> Path:
    """Folder with a backbone that has no weights, and rows in three splits."""
    tiny_bert_config.save_pretrained(tmp_path / "encoder")
    tiny_tokenizer.save_pretrained(tmp_path / "encoder")
    for split, rows in {"train": ROWS, "test": ROWS[:6], "validation": ROWS[:4]}.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path


def load(folder: Path, *overrides: str, **data: Any) -> tuple[RecipeData, Any]:
    files = {split: f"{split}.jsonl" for split in ("train", "test", "validation")}
    content: Mapping[str, Any] = {
        "model": {"backbone": "encoder"},
        "tasks": {
            "topic": {
                "type": "text-classification",
                "labels": ["book", "film"],
                "data": {"path": "json", "data_files": files, "streaming": True, **data},
            }
        },
        "training": {"output_dir": "out", "use_cpu": True, "per_device_train_batch_size": 4},
    }
    (folder / "recipe.yaml").write_text(dump_yaml(content), encoding="utf-8")
    recipe = Recipe.from_file(folder / "recipe.yaml", overrides)
    loaded = load_data(recipe)
    return loaded, build_plan(recipe, loaded)


def test_rows_to_train_on_are_streamed_and_those_to_evaluate_on_are_read(folder):
    data, plan = load(folder, *SETTINGS)
    assert isinstance(data.train.sources["topic"], StreamSource)
    assert len(data.test) == 6
    assert len(data.validation) == 4
    assert data.train.known_rows == {}
    assert plan.steps == 5 <= plan.steps_per_epoch
    assert plan.memory.activations > 0


def test_some_rows_to_evaluate_on_will_do(folder):
    data, _ = load(folder, *SETTINGS, max_examples={"test": 3})
    assert len(data.test) == 3


def test_a_known_number_of_rows_makes_epochs(folder):
    data, plan = load(folder, num_rows=8)
    assert data.train.known_rows == {"topic": 8}
    assert plan.steps_per_epoch == 2
    assert plan.steps == 3 * 2


@pytest.mark.parametrize(
    ("data", "overrides", "problem"),
    [
        ({}, [], r"sources: `max_steps` must be given, .* but got -1"),
        ({"split": {"test_size": 0.5}}, SETTINGS, "tasks.topic.data: `split` must be left out"),
        ({"max_examples": 5}, SETTINGS, "topic.data: `max_examples` must name splits to evaluate"),
        ({"max_examples": {"train": 5}}, SETTINGS, "`max_examples` must name splits to evaluate"),
        ({"max_examples": {"tset": 5}}, SETTINGS, r"Unknown split .* 'tset'\. Did you mean 'test'"),
        ({"max_examples": {"test": 0}}, SETTINGS, "`max_examples of 'test'` must be a positive"),
        ({"num_rows": 0}, SETTINGS, "data.num_rows: `num_rows` must be a positive whole number"),
        ({"num_rows": 8, "streaming": False}, [], "`num_rows` must be left out unless `streaming`"),
        ({"streaming": "yes"}, SETTINGS, "data.streaming: `streaming` must be true or false"),
        ({"data_file": "x"}, SETTINGS, "Unknown field 'data_file' .* mean 'data_files'"),
        ({"train_split": "rows"}, SETTINGS, "There is no split 'rows' to train on, only"),
    ],
)
def test_what_cannot_be_done_with_a_stream_is_said_at_once(folder, data, overrides, problem):
    with pytest.raises(RecipeError, match=problem):
        load(folder, *overrides, **data)


def test_label_names_have_to_be_given(folder):
    with pytest.raises(RecipeError, match=r"`labels` of task 'topic' must be given, .* a stream"):
        load(folder, *SETTINGS, "tasks.topic.labels=null")


def test_a_wrong_line_among_the_rows_to_evaluate_on_is_named(folder):
    with (folder / "test.jsonl").open("a", encoding="utf-8") as lines:
        lines.write('{"text": \n')
    with pytest.raises(RecipeError, match=r"test\.jsonl' is not valid JSON at line 7"):
        load(folder, *SETTINGS)
