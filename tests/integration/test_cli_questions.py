# SPDX-License-Identifier: Apache-2.0
"""`hf-mtl predict` with a model that answers questions."""

import json

import pytest
import yaml
from cli_runs import plain, run
from transformers import BertModel

from hf_mtl import MultiTaskModel, TaskSpec

ROW = {"question": "good ?", "context": "Ada was not bad"}


@pytest.fixture
def folder(tiny_bert_config, tiny_tokenizer, tmp_path):
    """Makes a saved model that always answers, or never."""

    def make(*, always):
        options = {"null_threshold": 1e9 if always else -1e9, "n_best": 2}
        model = MultiTaskModel.from_backbone(
            BertModel(tiny_bert_config),
            {"name": TaskSpec("question-answering", options=options)},
            processing_class=tiny_tokenizer,
        )
        model.save_pretrained(tmp_path / "saved")
        return tmp_path / "saved"

    return make


def test_a_question_is_answered_by_a_stretch_of_the_text(folder):
    result = run("predict", folder(always=True), "--json", given=json.dumps(ROW))
    assert result.exit_code == 0, result.output
    line = json.loads(result.stdout)
    answer = line["answers"]["name"]
    assert line["input"] == ROW
    assert answer["answer"] == ROW["context"][answer["start"] : answer["end"]]
    assert 0 < answer["score"] < 1
    assert len(answer["n_best"]) == 2


def test_an_answer_is_shown_with_its_score(folder):
    model = folder(always=True)
    answer = MultiTaskModel.from_pretrained(model).predict(ROW)["name"]
    shown = plain(run("predict", model, given=json.dumps(ROW)).stdout)
    assert shown == f"good ? | Ada was not bad name {answer['answer']} {answer['score']:.3f}"


def test_that_there_is_no_answer_is_shown(folder):
    model = folder(always=False)
    assert "(no answer)" in run("predict", model, given=json.dumps(ROW)).stdout
    line = json.loads(run("predict", model, "--json", given=json.dumps(ROW)).stdout)
    assert line["answers"]["name"]["answer"] is None


def test_a_text_alone_is_refused_with_what_is_needed(folder):
    result = run("predict", folder(always=True), "Ada was not bad")
    assert result.exit_code == 2
    assert "exactly these keys: `question` and `context`" in plain(result.output)


def recipe_of(folder, tokenizer, config, options):
    """A recipe on ten questions, half of them without an answer, and an encoder beside it."""
    BertModel(config).save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    rows = [
        {**ROW, "answers": {"text": ["Ada"], "answer_start": [0]}},
        {**ROW, "context": "it was dull . " * 5, "answers": {"text": [], "answer_start": []}},
    ] * 5
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "model": {"backbone": "encoder"},
        "tasks": {
            "name": {
                "type": "question-answering",
                "data": {
                    "path": "json",
                    "data_files": {"train": "rows.jsonl", "test": "rows.jsonl"},
                },
                "max_length": 14,
                "options": options,
            }
        },
        "training": {
            "output_dir": str(folder / "run"),
            "max_steps": 2,
            "save_strategy": "no",
            "use_cpu": True,
        },
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder / "recipe.yaml"


def test_a_recipe_with_questions_is_trained_and_measured(
    tmp_path, tiny_tokenizer, tiny_bert_config
):
    recipe = recipe_of(tmp_path, tiny_tokenizer, tiny_bert_config, {"stride": 3})
    result = run("train", recipe)
    assert result.exit_code == 0, result.output
    line = json.loads(run("predict", tmp_path / "run", "--json", given=json.dumps(ROW)).stdout)
    assert set(line["answers"]["name"]) == {"answer", "score", "start", "end"}
    measured = json.loads(run("evaluate", tmp_path / "run", recipe, "--json").stdout)["results"]
    assert [row["metric"] for row in measured] == ["answer_f1", "exact_match"]
    assert {row["num_rows"] for row in measured} == {10}
    assert [row["baseline"] for row in measured] == [0.5, 0.5]


def test_an_unknown_option_in_a_recipe_is_named(tmp_path, tiny_tokenizer, tiny_bert_config):
    recipe = recipe_of(tmp_path, tiny_tokenizer, tiny_bert_config, {"strid": 3})
    result = run("train", recipe)
    assert result.exit_code == 2
    assert (
        "tasks.name.options: Unknown field of task type 'question-answering' 'strid'. Did you "
        "mean 'stride'?" in plain(result.output)
    )
