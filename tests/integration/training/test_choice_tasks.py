# SPDX-License-Identifier: Apache-2.0
"""Tasks whose rows are several texts: trained in every way, measured, resumed, asked."""

import json

import pytest
import torch
from choice_runs import SUITE, choice_datasets, choice_trainer
from datasets import Dataset, load_dataset
from strategy_runs import assert_same_training, parameters
from torch.testing import assert_close
from toy_runs import history
from typer.testing import CliRunner

from hf_mtl import (
    MultiTaskModel,
    MultiTaskTrainer,
    MultiTaskTrainingArguments,
    TaskSpec,
    TaskSuite,
)
from hf_mtl.cli.app import app
from hf_mtl.evaluation import constant_baseline
from hf_mtl.training.activations import longest_rows

EXACT = {"dtype": torch.float64, "max_steps": 4, "weight_decay": 0.1, "adam_epsilon": 1e-3}
MERGED = {"batches": "merged"}
# This engine takes rows with one task each.
ALONE = {"suite": SUITE.without_task("livelier")}


def outcome(folder, **given):
    trainer = choice_trainer(str(folder), **EXACT | given)
    trainer.train()
    return {"parameters": parameters(trainer), "history": history(trainer)}


@pytest.mark.parametrize(
    ("given", "baseline"),
    [
        (MERGED, {}),
        ({**MERGED, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}, {}),
        ({**MERGED, "gradient_engine": "grouped"}, {"gradient_method": "upgrad"}),
        ({**MERGED, "gradient_engine": "grouped_twice"}, {"gradient_method": "upgrad", **ALONE}),
        ({**MERGED, "gradient_engine": "retained"}, {"gradient_method": "upgrad"}),
        ({**MERGED, "gradient_engine": "streaming"}, {"gradient_method": "upgrad"}),
    ],
    ids=["merged", "accumulated", "grouped", "grouped_twice", "retained", "streaming"],
)
def test_merged_batches_and_every_engine_equal_separate_ones(tmp_path, given, baseline):
    expected = outcome(tmp_path / "separate", **baseline)
    found = outcome(tmp_path / "found", **baseline | given)
    assert_same_training(found, expected, is_exact=True)


def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path):
    settings = {"dropout": 0.1, "max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    settings |= MERGED
    whole = choice_trainer(str(tmp_path / "whole"), **settings)
    whole.train()
    resumed = choice_trainer(str(tmp_path / "resumed"), **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert history(resumed, 2) == history(whole, 2)
    expected = whole.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_metrics_are_those_of_answers_to_each_row(tmp_path):
    trainer = choice_trainer(str(tmp_path), max_steps=3)
    trainer.train()
    scores, rows = trainer.evaluate(), choice_datasets()
    asked = [
        {"text": row["text"], "choices": row["endings"]}
        for row in rows["ending"]
        if row["label"] is not None
    ]
    labels = [row["label"] for row in rows["ending"] if row["label"] is not None]
    answers = [answer["ending"]["label"] for answer in trainer.model.predict(asked)]
    hits = [
        str(label) in (str(answer), row["choices"][answer])
        for label, answer, row in zip(labels, answers, asked, strict=True)
    ]
    assert scores["eval_ending_accuracy"] == pytest.approx(sum(hits) / len(hits))
    chosen, rejected = (
        [answer["better"] for answer in trainer.model.predict(list(rows["pairs"][side]), "better")]
        for side in ("chosen", "rejected")
    )
    hits = [good > bad for good, bad in zip(chosen, rejected, strict=True)]
    assert scores["eval_better_pairwise_accuracy"] == pytest.approx(sum(hits) / len(hits))
    assert scores["eval_livelier_pairwise_accuracy"] <= 1


def test_pairs_and_single_texts_are_answered(tmp_path):
    model = choice_trainer(str(tmp_path)).model
    first, second = (answer["better"] for answer in model.predict(["good", "a dull book"]))
    found = model.predict({"chosen": "good", "rejected": "a dull book"})["better"]
    share = torch.sigmoid(torch.tensor(abs(first - second))).item()
    assert found == {
        "label": "chosen" if first >= second else "rejected",
        "score": pytest.approx(share),
    }
    single = model.to_single_task("better")
    tokens = model.processing_class("a dull book", return_tensors="pt")
    assert_close(single(**tokens).logits.item(), second)


def test_the_commands_take_rows_of_several_texts(tmp_path):
    choice_trainer(str(tmp_path)).save_model(str(tmp_path / "model"))
    rows = [{"text": "the film was", "choices": ["good", "bad"]}, {"chosen": "a", "rejected": "."}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["predict", str(tmp_path / "model"), "--file", str(file)]
    printed = CliRunner().invoke(app, [*command, "--json"])
    lines = [json.loads(line) for line in printed.stdout.splitlines()]
    assert [list(line["answers"]) for line in lines] == [["ending"], ["better", "livelier"]]
    assert "the film was | good bad" in CliRunner().invoke(app, command).stdout


def test_the_largest_rows_are_those_that_fill_most(tmp_path):
    source = choice_trainer(str(tmp_path))._train_collection().sources["ending"]
    # Rows of 3, 2 and 4 choices, the longest of which have 9, 7 and 5 tokens.
    assert longest_rows(source, 3) == (0, 3, 6)
    assert set(longest_rows(source, 6)) == {0, 3, 6, 2, 5, 8}


def test_a_source_of_pairs_and_one_of_texts_cannot_be_one(tmp_path):
    tasks = {"better": TaskSpec("pairwise-ranking", source="rows")}
    suite = TaskSuite(tasks | {"valence": TaskSpec("regression", source="rows")})
    rows = Dataset.from_dict({"chosen": ["a"], "rejected": ["b"], "text": ["a"], "label": [1.0]})
    with pytest.raises(ValueError, match=r"'rows' must read the same input.*comparison.*text"):
        choice_trainer(str(tmp_path), suite=suite, data={"rows": rows})


def reviews_by_pairs(rows: Dataset) -> Dataset:
    """Sentences of reviews next to each other, the more positive one first."""
    neighbours = zip(
        rows.select(range(0, len(rows) - 1, 2)), rows.select(range(1, len(rows), 2)), strict=True
    )
    pairs = [sorted(pair, key=lambda row: -row["score"]) for pair in neighbours]
    clear = [pair for pair in pairs if pair[0]["score"] - pair[1]["score"] > 1]
    return Dataset.from_dict(
        {
            "chosen": [better["sentence"] for better, _ in clear],
            "rejected": [worse["sentence"] for _, worse in clear],
        }
    )


def surnames_of(rows: Dataset) -> Dataset:
    """Names, and which of their words, in the order of letters, is the surname."""
    named = [row for row in rows if row["tags"].count("Surname") == 1]
    named = [row for row in named if len(set(row["words"])) > 1]
    return Dataset.from_dict(
        {
            "text": [" ".join(row["words"]) for row in named],
            "choices": [sorted(set(row["words"])) for row in named],
            "label": [row["words"][row["tags"].index("Surname")] for row in named],
        }
    )


@pytest.mark.slow
@pytest.mark.real_weights
def test_choices_and_pairs_are_learned_from_real_texts(real_data, tmp_path):
    files = {"surname": "names.jsonl", "better": "reviews.jsonl"}
    rows = {
        task: load_dataset("json", data_files=str(real_data / name), split="train")
        for task, name in files.items()
    }
    short = rows["better"].filter(lambda row: 10 <= len(row["sentence"].split()) <= 16)
    made = {"surname": surnames_of(rows["surname"]), "better": reviews_by_pairs(short)}
    parts = {task: each.train_test_split(150, seed=0) for task, each in made.items()}
    suite = TaskSuite(
        {"surname": TaskSpec("multiple-choice"), "better": TaskSpec("pairwise-ranking")}
    )
    trainer = MultiTaskTrainer(
        model=MultiTaskModel.from_backbone(str(real_data / "minilm"), suite),
        args=MultiTaskTrainingArguments(
            output_dir=str(tmp_path),
            tasks_per_step="all",
            batches="merged",
            per_device_train_batch_size=8,
            learning_rate=3e-4,
            max_steps=60,
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset={task: each["train"] for task, each in parts.items()},
        eval_dataset={task: each["test"] for task, each in parts.items()},
    )
    trainer.train()
    scores = trainer.evaluate()
    constant = constant_baseline(trainer.suite, trainer.train_dataset, trainer.eval_dataset)
    assert constant["better"]["pairwise_accuracy"] == 0.5
    assert scores["eval_better_pairwise_accuracy"] > 0.7
    assert scores["eval_surname_accuracy"] > constant["surname"]["accuracy"] + 0.15
    good, bad = trainer.model.predict(["A gorgeous, witty film.", "A dull mess."], "better")
    assert good["better"] > bad["better"]
