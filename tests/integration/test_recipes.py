# SPDX-License-Identifier: Apache-2.0
"""The recipes as far as their plan, on local files with the columns of the real ones."""

import json
from pathlib import Path

import pytest
from transformers import BertModel

from hf_mtl.training.recipe import Recipe, build_plan, load_data

RECIPES = Path(__file__).parents[2] / "recipes"
TEXTS = ("the film was very good", "a bad book", "not great", "Ada Byron")
GLUE = {
    "cola": ("sentence",),
    "sst2": ("sentence",),
    "mrpc": ("sentence1", "sentence2"),
    "stsb": ("sentence1", "sentence2"),
    "qqp": ("question1", "question2"),
    "mnli": ("premise", "hypothesis"),
    "qnli": ("question", "sentence"),
    "rte": ("sentence1", "sentence2"),
    "wnli": ("sentence1", "sentence2"),
}


@pytest.fixture
def backbone(tmp_path, tiny_bert_config, tiny_tokenizer):
    tiny_tokenizer.model_max_length = 128
    tiny_bert_config.max_position_embeddings = 128
    BertModel(tiny_bert_config).save_pretrained(tmp_path / "encoder")
    tiny_tokenizer.save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def glue_rows(task, columns):
    for index in range(12):
        texts = {column: TEXTS[(index + i) % 4] for i, column in enumerate(columns)}
        label = index / 3 if task == "stsb" else index % (3 if task == "mnli" else 2)
        yield {**texts, "label": label, "idx": index}


def test_the_nine_tasks_of_glue_are_read_as_the_hub_has_them(backbone, tmp_path):
    changes = [f"model.backbone={backbone}", "training.bf16=false"]
    for task, columns in GLUE.items():
        split = "validation_matched" if task == "mnli" else "validation"
        files = {
            name: write(tmp_path / f"{task}-{name}.jsonl", glue_rows(task, columns))
            for name in ("train", split)
        }
        source = {"path": "json", "data_files": files, "eval_split": split}
        changes.append(f"tasks.{task}.data={json.dumps(source)}")
    recipe = Recipe.from_file(RECIPES / "glue" / "config.yaml", changes)
    plan = build_plan(recipe, load_data(recipe))
    assert [task.name for task in plan.tasks] == list(GLUE)
    assert [task.num_labels for task in plan.tasks] == [2, 2, 2, None, 2, 3, 2, 2, 2]
    assert plan.sampler == "annealed"


def test_intents_and_slots_share_their_rows(backbone, tmp_path, monkeypatch):
    row = {"words": ["the", "film"], "slots": ["O", "thing"], "intent": "play"}
    other = {"words": ["bad", "book"], "slots": [None, "thing"], "intent": "read"}
    for name in ("train", "test"):
        write(tmp_path / "requests" / f"{name}.jsonl", [row, other] * 4)
    monkeypatch.chdir(tmp_path)
    changes = [f"model.backbone={backbone}"]
    recipe = Recipe.from_file(RECIPES / "intent_slots" / "config.yaml", changes)
    plan = build_plan(recipe, load_data(recipe))
    assert [source.name for source in plan.sources] == ["requests"]
    assert [(task.name, task.num_labels) for task in plan.tasks] == [("intent", 2), ("slots", 2)]
