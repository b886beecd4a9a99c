# SPDX-License-Identifier: Apache-2.0
"""When two runs are the same, and when they are not."""

import json

import pytest

from hf_mtl._yaml import dump_yaml
from hf_mtl.training.baselines.fingerprint import Fingerprint
from hf_mtl.training.recipe import Recipe, load_data

ROWS = [{"text": "good film", "label": 1.0}, {"text": "dull book", "label": 2.0}] * 4


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def name(tmp_path, tiny_tokenizer, tiny_bert_config):
    """Name of the run of a recipe with a seed, after some overrides."""
    tiny_bert_config.save_pretrained(tmp_path / "encoder")
    tiny_tokenizer.save_pretrained(tmp_path / "encoder")
    task = {"type": "regression", "source": "rows"}
    files = {"train": "train.jsonl", "test": "test.jsonl"}
    write(tmp_path / "test.jsonl", ROWS)
    content = {
        "model": {"backbone": "encoder"},
        "tasks": {"mark": task, "other": task},
        "sources": {"rows": {"path": "json", "data_files": files}},
        "training": {"output_dir": "out", "use_cpu": True},
    }

    def of(*overrides, seed=0, rows=ROWS):
        if rows is not None:
            write(tmp_path / "train.jsonl", rows)
        (tmp_path / "recipe.yaml").write_text(dump_yaml(content), encoding="utf-8")
        recipe = Recipe.from_file(tmp_path / "recipe.yaml", overrides)
        return Fingerprint.of(recipe, load_data(recipe)).name(seed)

    return of


def test_the_same_recipe_has_the_same_name_wherever_it_writes_and_whatever_it_shows(name):
    unseen = ("training.output_dir=elsewhere", "training.hub_token=secret", "training.run_name=b")
    assert name() == name(*unseen, "training.disable_tqdm=true", "training.logging_steps=3")


def test_another_seed_setting_task_row_or_backbone_has_another_name(name, tmp_path):
    before = name()
    changed = [
        name(seed=1),
        name("training.learning_rate=1e-3"),
        name("model.hidden_act=relu"),
        name("tasks.mark.weight=2"),
        name("tasks.mark.max_length=4"),
        name("sources.rows.max_examples={train: 6}"),
        name(rows=[*ROWS[:-1], {"text": "dull book", "label": 2.5}]),
        name(rows=[*ROWS[:-1], {"text": "good book", "label": 2.0}]),
        name(rows=[ROWS[1], *ROWS[1:-1], ROWS[0]]),
    ]
    (tmp_path / "encoder" / "model.safetensors").touch()
    changed.append(name())
    assert len({before, *changed}) == 1 + len(changed)


def test_a_stream_goes_by_its_files_and_by_what_the_recipe_says_of_it(name):
    stream = ("sources.rows.streaming=true", "training.max_steps=3")
    before = name(*stream)
    assert name(*stream, rows=None) == before  # no file was written anew
    assert name(*stream, "sources.rows.num_rows=8", rows=None) != before
    assert name(*stream, rows=ROWS[:2]) != before
