# SPDX-License-Identifier: Apache-2.0
"""Commands about what there is: saved models, what recipes can name, single tasks."""

import json

import pytest
from cli_runs import plain, run
from transformers import AutoTokenizer, BertModel, pipeline

from hf_mtl.models import MultiTaskModel
from hf_mtl.tasks import TASK_TYPES, TaskSpec

LABELS = ("film", "book", "play", "song", "poem", "news")
TEXT = "the film was very good"


@pytest.fixture
def model(tiny_bert_config, tiny_tokenizer):
    tasks = {
        "topic": TaskSpec("text-classification", labels=LABELS),
        "valence": TaskSpec("regression", head="pooled"),
    }
    return MultiTaskModel.from_backbone(
        BertModel(tiny_bert_config), tasks, processing_class=tiny_tokenizer
    )


@pytest.fixture
def saved(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_model_is_inspected_without_its_weights(model, saved):
    (saved / "model.safetensors").unlink()
    shown = run("inspect", saved, "--json")
    assert shown.exit_code == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert found["backbone"] == "bert"
    assert found["parameters"] == sum(each.numel() for each in model.parameters())
    assert [task["name"] for task in found["tasks"]] == ["topic", "valence"]
    assert found["tasks"][0]["labels"] == list(LABELS)
    assert found["tasks"][1]["head"] == "pooled"
    assert found["tasks"][1]["head_parameters"] == 17
    text = plain(run("inspect", saved).stdout)
    assert all(name in text for name in (*LABELS[:5], "(6)"))
    assert "news" not in text
    assert "Backbone bert" in text


def test_a_model_of_another_kind_is_not_inspected(model, tmp_path):
    model.to_single_task("topic").save_pretrained(tmp_path / "single")
    wrong = run("inspect", tmp_path / "single")
    assert wrong.exit_code == 2
    assert "must be a multi-task model saved by hf_mtl, but" in plain(wrong.stderr)


def test_all_that_a_recipe_can_name_is_listed_in_a_line_each():
    listed = json.loads(run("tasks", "--json").stdout)
    assert set(listed["task types"]) == set(TASK_TYPES.names())
    nothing = [(kind, name) for kind in listed for name, line in listed[kind].items() if not line]
    assert nothing == []
    lines = run("tasks").stdout.splitlines()
    assert any(line.split()[:1] == ["pcgrad"] for line in lines)


def test_tasks_are_exported_as_models_of_transformers(model, saved, tmp_path):
    shown = run("export", saved, tmp_path / "single", "--task", "topic", "--json")
    assert shown.exit_code == 0, shown.stderr
    place = tmp_path / "single" / "topic"
    assert json.loads(shown.stdout) == {
        "exported": {
            "topic": {"folder": str(place), "class": "BertForSequenceClassification"},
        }
    }
    assert AutoTokenizer.from_pretrained(place).vocab_size == 25
    classify = pipeline("text-classification", model=str(place))
    assert classify(TEXT) == [pytest.approx(model.predict(TEXT)["topic"])]
    again = run("export", saved, tmp_path / "single", "--task", "topic")
    assert again.exit_code == 2
    assert "FOLDER must have no folder of these tasks yet" in plain(again.stderr)
    replaced = run("export", saved, tmp_path / "single", "--task", "topic", "--overwrite")
    assert plain(replaced.stdout).startswith("topic: BertForSequenceClassification in")


def test_a_head_that_transformers_has_not_leaves_nothing_half_exported(saved, tmp_path):
    wrong = run("export", saved, tmp_path / "single")
    assert wrong.exit_code == 2
    assert "native" in plain(wrong.stderr)
    assert not (tmp_path / "single").exists()
    unknown = run("export", saved, tmp_path / "single", "--task", "topc")
    assert "Did you mean 'topic'" in plain(unknown.stderr)
