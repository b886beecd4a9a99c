# SPDX-License-Identifier: Apache-2.0
"""Diagnoses of whole recipes, on a tiny encoder and a handful of rows."""

import csv
import sys

import pytest
from typer.testing import CliRunner

from hf_mtl._yaml import dump_yaml
from hf_mtl.cli.app import app
from hf_mtl.training.diagnosis import diagnose


@pytest.fixture
def recipe(tmp_path, tiny_tokenizer, tiny_bert_config):
    """Writes a recipe of tasks ``first`` and ``second`` on one source, ``other`` on another."""
    from transformers import BertModel

    BertModel(tiny_bert_config).save_pretrained(tmp_path / "encoder")
    tiny_tokenizer.save_pretrained(tmp_path / "encoder")
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "x", "y"])
        rows.writerows([[f"the film was good {n}", n / 12, 1 - n / 12] for n in range(12)])
    rows = {"path": "csv", "data_files": "rows.csv", "eval_split": "none"}

    def write(**sections):
        content = {
            "model": {"backbone": "encoder"},
            "tasks": {
                name: {
                    "type": "regression",
                    "source": source,
                    "columns": {"text": "text", "label": label},
                }
                for name, source, label in (
                    ("first", "both", "x"),
                    ("second", "both", "y"),
                    ("other", "one", "x"),
                )
            },
            "sources": {"both": dict(rows), "one": dict(rows)},
            **sections,
            "training": {
                "output_dir": str(tmp_path / "run"),
                "per_device_train_batch_size": 4,
                "use_cpu": True,
                "disable_tqdm": True,
                **sections.get("training", {}),
            },
        }
        (tmp_path / "recipe.yaml").write_text(dump_yaml(content), encoding="utf-8")
        return tmp_path / "recipe.yaml"

    return write


def test_a_missing_matplotlib_is_said_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'hf-mtl\[plots\]'"):
        diagnose(tmp_path / "no_recipe.yaml", tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_recipe_that_compares_at_the_output_of_the_backbone_is_diagnosed(recipe, tmp_path):
    path = recipe(
        mixture={"tasks_per_step": 1},
        balancing={"gradient_method": "mgda", "gradient_engine": "representation"},
    )
    found = diagnose(path, tmp_path / "report", steps=12)
    assert [pair.tasks for pair in found.pairs] == [("first", "second")]
    assert found.changes == ("max_steps: 12",)
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "steps compared gradients at the output of the backbone" in text
    assert "gradient method mgda" in text


@pytest.mark.parametrize(
    ("balancing", "training", "changed"),
    [
        ({"weighting": "dwa"}, {}, "weighting: null"),
        ({"weighting": "stch"}, {}, "weighting: null"),
        ({"weighting": "stch", "weighting_losses": "lagged"}, {}, "weighting_losses: current"),
        ({}, {"lr_scheduler_type": "reduce_lr_on_plateau"}, "lr_scheduler_type: constant"),
        ({}, {"torch_compile": True}, "torch_compile: false"),
    ],
)
def test_what_stands_in_the_way_of_a_short_run_is_changed_and_said(
    recipe, tmp_path, balancing, training, changed
):
    path = recipe(balancing=balancing, training=training)
    found = diagnose(path, tmp_path / "report", steps=3)
    assert changed in found.changes
    assert len(found.pairs) == 3
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "For the diagnosis: `max_steps: 3`, `gradient_method: mean`" in text
    assert f"`{changed}`" in text


def test_a_weighting_that_has_something_to_go_by_stays(recipe, tmp_path):
    path = recipe(
        mixture={"tasks_per_step": "all"},
        balancing={"weighting": {"name": "dwa", "interval_steps": 1}},
    )
    found = diagnose(path, tmp_path / "report", steps=4)
    assert not any("weighting" in change for change in found.changes)


def test_a_direction_that_is_no_weighted_mean_has_no_picture_of_shares(recipe, tmp_path):
    path = recipe(mixture={"tasks_per_step": "all"}, balancing={"gradient_method": "graddrop"})
    diagnose(path, tmp_path / "report", steps=2)
    names = {file.name for file in (tmp_path / "report").iterdir()}
    assert names == {"report.md", "cosines.png", "norms.png"}


def test_an_earlier_diagnosis_is_replaced_on_request_and_a_run_never(recipe, tmp_path):
    def run(*options):
        folder = ["--output", str(tmp_path / "report")]
        return CliRunner().invoke(app, ["diagnose", str(path), "--steps", "2", *folder, *options])

    path = recipe()
    first = run()
    assert first.exit_code == 0, first.output
    assert "For the diagnosis: `max_steps: 2`" in " ".join(first.output.split())
    again = run()
    assert again.exit_code == 2
    assert "`output` must hold no other diagnosis" in " ".join(again.output.split())
    assert run("--overwrite").exit_code == 0
    (tmp_path / "report" / "model.safetensors").write_bytes(b"")
    refused = run("--overwrite")
    assert refused.exit_code == 2
    assert "'model.safetensors'" in refused.output
