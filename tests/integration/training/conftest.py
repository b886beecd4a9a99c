# SPDX-License-Identifier: Apache-2.0
"""Three small sources with four tasks, and a tiny encoder, for runs of a few steps."""

import pytest
import torch
from datasets import Dataset
from transformers import BertModel, set_seed

from hf_mtl import (
    MultiTaskModel,
    MultiTaskTrainer,
    MultiTaskTrainingArguments,
    TaskSpec,
    TaskSuite,
)

SUITE = TaskSuite(
    {
        "topic": TaskSpec("text-classification", columns={"text": "body", "label": "group"}),
        "valence": TaskSpec("regression", columns={"text": "sentence", "label": "score"}),
        "parts": TaskSpec(
            "token-classification", columns={"tokens": "words", "labels": "tags"}, source="names"
        ),
        "kind": TaskSpec(
            "text-classification", columns={"text": "words", "label": "kind"}, source="names"
        ),
    }
)


def toy_datasets() -> dict[str, Dataset]:
    """Sources of 12, 7 and 10 rows; some labels are missing."""
    names = [["Ada", "Byron"], ["Bell", "Labs", "Inc"]]
    tags = [["given", "surname"], ["company", "company", "legal"]]
    return {
        "topic": Dataset.from_dict(
            {
                "body": ["good film", "bad book !", "a dull film .", "great book"] * 3,
                "group": ["film", "book"] * 6,
            }
        ),
        "valence": Dataset.from_dict(
            {
                "sentence": ["good", "bad", "not bad", "very dull", "great", "the book", "."],
                "score": [1.0, -1.0, 0.5, -1.5, 2.0, None, 0.0],
            }
        ),
        "names": Dataset.from_dict(
            {
                "words": names * 5,
                "tags": tags * 4 + [None, ["company", None, "legal"]],
                "kind": ["person", "company"] * 4 + ["person", None],
            }
        ),
    }


@pytest.fixture
def toy_data():
    return toy_datasets()


@pytest.fixture
def toy_suite():
    return SUITE


@pytest.fixture
def toy_trainer(tmp_path, tiny_bert_config, tiny_tokenizer):
    """Makes trainers that differ only in what is asked for; all start from the same weights."""

    def make(name="run", *, suite=SUITE, dropout=0.0, dtype=torch.float32, data=None, **given):
        set_seed(0)
        tiny_bert_config.hidden_dropout_prob = dropout
        model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config).to(dtype), suite)
        datasets = data or toy_datasets()
        trainer_only = {
            key: given.pop(key) for key in ("compute_metrics", "callbacks") if key in given
        }
        defaults = {
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-2,
            "logging_steps": 1,
            "save_strategy": "no",
            "disable_tqdm": True,
        }
        return MultiTaskTrainer(
            model=model,
            args=MultiTaskTrainingArguments(
                output_dir=str(tmp_path / name), use_cpu=True, **defaults | given
            ),
            train_dataset=datasets,
            eval_dataset=datasets,
            processing_class=tiny_tokenizer,
            **trainer_only,
        )

    return make
