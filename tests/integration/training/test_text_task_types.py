# SPDX-License-Identifier: Apache-2.0
"""Types of text tasks from end to end, on a real encoder and real labels."""

import pytest
from datasets import Dataset, load_dataset

from hf_mtl import (
    MultiTaskModel,
    MultiTaskTrainer,
    MultiTaskTrainingArguments,
    TaskSpec,
    TaskSuite,
)
from hf_mtl.evaluation import constant_baseline

SUITE = TaskSuite(
    {
        "contents": TaskSpec(
            "multi-label-classification", columns={"text": "words"}, source="names", head="pooled"
        ),
        "chained": TaskSpec(
            "multi-label-classification", columns={"text": "words"}, source="names", head="chain"
        ),
        "mood": TaskSpec(
            "ordinal-regression",
            columns={"text": "sentence"},
            labels=("bad", "mixed", "good"),
            source="reviews",
        ),
    }
)


def names_of(real_data) -> Dataset:
    """Names with the parts that occur in them, in any order."""
    rows = load_dataset("json", data_files=str(real_data / "names.jsonl"), split="train")
    return rows.map(lambda row: {"labels": sorted(set(row["tags"]))})


def reviews_of(real_data) -> Dataset:
    """Sentences of reviews with their valence, from -4 to 4, in three grades."""
    rows = load_dataset("json", data_files=str(real_data / "reviews.jsonl"), split="train")
    grades = ("bad", "mixed", "good")
    return rows.map(lambda row: {"label": grades[(row["score"] > -0.8) + (row["score"] > 0.8)]})


@pytest.mark.slow
@pytest.mark.real_weights
def test_types_of_text_tasks_learn_from_real_labels(real_data, tmp_path):
    sources = {"names": names_of(real_data), "reviews": reviews_of(real_data)}
    parts = {name: rows.train_test_split(300, 1200, seed=0) for name, rows in sources.items()}
    trainer = MultiTaskTrainer(
        model=MultiTaskModel.from_backbone(str(real_data / "minilm"), SUITE),
        args=MultiTaskTrainingArguments(
            output_dir=str(tmp_path),
            tasks_per_step="all",
            per_device_train_batch_size=16,
            learning_rate=5e-4,
            max_steps=100,
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset={name: each["train"] for name, each in parts.items()},
        eval_dataset={name: each["test"] for name, each in parts.items()},
    )
    trainer.train()
    scores = trainer.evaluate()
    constant = constant_baseline(trainer.suite, trainer.train_dataset, trainer.eval_dataset)
    for task in ("contents", "chained"):
        assert scores[f"eval_{task}_f1_micro"] > constant[task]["f1_micro"] + 0.1
    assert scores["eval_mood_quadratic_kappa"] > 0.2 > constant["mood"]["quadratic_kappa"]
    assert scores["eval_mood_rank_mae"] < constant["mood"]["rank_mae"]
    trainer.save_model(str(tmp_path / "saved"))
    loaded = MultiTaskModel.from_pretrained(tmp_path / "saved")
    answers = loaded.predict("Dr. Ada M. Byron", tasks=["contents", "mood"])
    assert {"GivenName", "Surname"} <= {each["label"] for each in answers["contents"]}
    assert answers["mood"]["label"] in ("bad", "mixed", "good")
