# SPDX-License-Identifier: Apache-2.0
"""The data of a recipe from a folder: the same run, or a refusal that says why."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import BertModel
from typer.testing import CliRunner

from hf_mtl._yaml import dump_yaml
from hf_mtl.cli.app import app
from hf_mtl.data import Draw
from hf_mtl.training.recipe import Recipe, RecipeError, build_plan, load_data
from hf_mtl.training.recipe.prepared import load_prepared_data, save_prepared_data


@pytest.fixture
def recipe(tmp_path: Path, tiny_tokenizer: Any, tiny_bert_config: Any) -> Path:
    """Recipe of two tasks on one source, beside its encoder and its rows."""
    BertModel(tiny_bert_config).save_pretrained(tmp_path / "encoder")
    tiny_tokenizer.save_pretrained(tmp_path / "encoder")
    rows = [
        {"body": "good film" if index % 2 else "bad book", "group": "ab"[index % 2], "score": index}
        for index in range(20)
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "rows.jsonl").write_text(lines, encoding="utf-8")
    data = {"path": "json", "data_files": "rows.jsonl", "split": {"test_size": 4, "seed": 0}}
    content = {
        "model": {"backbone": "encoder"},
        "sources": {"films": data},
        "tasks": {
            "topic": {
                "type": "text-classification",
                "columns": {"text": "body", "label": "group"},
                "source": "films",
            },
            "valence": {
                "type": "regression",
                "columns": {"text": "body", "label": "score"},
                "source": "films",
            },
        },
        "training": {"output_dir": str(tmp_path / "run"), "max_steps": 1, "use_cpu": True},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_yaml(content), encoding="utf-8")
    return path


def prepare(recipe: Path, *overrides: str) -> tuple[Recipe, Path]:
    """The recipe, and the folder that its data were prepared into."""
    read = Recipe.from_file(recipe, overrides)
    save_prepared_data(read, load_data(read), recipe.parent / "prepared")
    return read, recipe.parent / "prepared"


def test_prepared_data_are_those_of_the_recipe(recipe):
    read, folder = prepare(recipe)
    straight, prepared = load_data(read), load_prepared_data(read, folder)
    assert prepared.suite == straight.suite
    assert prepared.suite["topic"].labels == ("a", "b")
    assert prepared.eval_splits == straight.eval_splits == {"films": "test"}
    draw = Draw("films", (3, 0, 2))
    for split in ("train", "validation", "test"):
        assert getattr(prepared, split)[draw] == getattr(straight, split)[draw]
    assert build_plan(read, prepared) == build_plan(read, straight)


def test_the_files_of_the_rows_are_not_looked_at(recipe):
    read, folder = prepare(recipe)
    rows = recipe.parent / "rows.jsonl"
    rows.write_text("no JSON", encoding="utf-8")
    assert len(load_prepared_data(read, folder).train) == 16


def test_settings_that_do_not_change_rows_may_change(recipe):
    _, folder = prepare(recipe)
    changes = ["tasks.topic.weight=2", "training.learning_rate=1e-3", "tasks.topic.batch_size=3"]
    changes += ["tasks.valence.batch_size=3"]
    changed = Recipe.from_file(recipe, changes)
    assert load_prepared_data(changed, folder).train.sources["films"].batch_size == 3


def test_data_of_another_recipe_are_refused(recipe):
    _, folder = prepare(recipe)
    changed = Recipe.from_file(recipe, ["sources.films.split.seed=1"])
    with pytest.raises(ValueError, match=r"source 'films' is .*'seed': 0.*, and in the recipe .*1"):
        load_prepared_data(changed, folder)


def test_a_row_that_is_too_long_for_the_backbone_is_refused(recipe, tiny_bert_config):
    read, folder = prepare(recipe)
    tiny_bert_config.max_position_embeddings = 3
    BertModel(tiny_bert_config).save_pretrained(recipe.parent / "encoder")
    with pytest.raises(ValueError, match="Rows must have at most 3 tokens"):
        load_prepared_data(read, folder)


def test_a_wrong_recipe_is_refused_first(recipe):
    _, folder = prepare(recipe)
    with pytest.raises(RecipeError, match="lerning_rate"):
        load_prepared_data(Recipe.from_file(recipe, ["training.lerning_rate=1"]), folder)


def test_the_command_writes_what_train_takes(recipe):
    folder = recipe.parent / "prepared"
    result = CliRunner().invoke(app, ["prepare", str(recipe), str(folder), "--json"])
    found = {"folder": str(folder), "rows": 20, "sources": ["films"]}
    assert json.loads(result.stdout) == found
    result = CliRunner().invoke(app, ["prepare", str(recipe), str(folder)])
    assert result.exit_code == 0, result.output
    assert f"Prepared 20 rows of 1 sources in {folder}." in " ".join(result.output.split())
    (recipe.parent / "rows.jsonl").write_text("no JSON", encoding="utf-8")
    arguments = ["train", str(recipe), "--prepared", str(folder), "--dry-run"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output


def test_the_command_says_what_is_wrong_in_words(recipe):
    arguments = ["train", str(recipe), "--prepared", str(recipe.parent), "--dry-run"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "there is no prepared.json in" in " ".join(result.output.split())
