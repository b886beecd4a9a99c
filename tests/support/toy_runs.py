# SPDX-License-Identifier: Apache-2.0
"""Small runs that any process can repeat: toy data, a tiny encoder, one trainer.

Everything is built from plain arguments, so that a rank started elsewhere builds the same.
"""

from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, set_seed

from hf_mtl import (
    MultiTaskModel,
    MultiTaskTrainer,
    MultiTaskTrainingArguments,
    TaskSpec,
    TaskSuite,
)

__all__ = [
    "SUITE",
    "TINY_TEXT",
    "history",
    "tiny_bert_config",
    "toy_datasets",
    "toy_tokenizer",
    "toy_trainer",
]

TINY_TEXT = "a the film book was is very not good bad great dull Ada Byron Bell Labs Inc . , ! ?"

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


def toy_tokenizer() -> PreTrainedTokenizerFast:
    """Fast tokenizer of the whole words of `TINY_TEXT`; anything else is `[UNK]`."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: index for index, word in enumerate([*special, *TINY_TEXT.split()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=32,
    )


def tiny_bert_config(**given: Any) -> BertConfig:
    """Two layers, 16 wide, without dropout, with room for the words of `TINY_TEXT`."""
    defaults = {
        "vocab_size": 4 + len(TINY_TEXT.split()),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": 0,
    }
    return BertConfig(**defaults | given)


def toy_trainer(
    output_dir: str,
    *,
    suite: TaskSuite = SUITE,
    dropout: float = 0.0,
    dtype: torch.dtype = torch.float32,
    data: dict[str, Any] | None = None,
    callbacks: Any = None,
    compute_metrics: Any = None,
    processing_class: Any = None,
    **given: Any,
) -> MultiTaskTrainer:
    """A trainer of the toy tasks; all start from the same weights."""
    set_seed(0)
    config = tiny_bert_config(hidden_dropout_prob=dropout)
    model = MultiTaskModel.from_backbone(BertModel(config).to(dtype), suite)
    datasets: Any = toy_datasets() if data is None else data
    defaults = {
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    return MultiTaskTrainer(
        model=model,
        args=MultiTaskTrainingArguments(output_dir=output_dir, **defaults | given),
        train_dataset=datasets,
        eval_dataset=datasets,
        processing_class=processing_class or toy_tokenizer(),
        callbacks=callbacks,
        compute_metrics=compute_metrics,
    )


def history(trainer: MultiTaskTrainer, after: int = 0) -> list[dict[str, Any]]:
    """Lines of the log from a step on: losses, weights, gradients, learning rate."""
    keys = ("loss", "learning_rate", "grad_norm", "epoch", "step", "gradient_conflicts")
    by_task = ("loss/", "weight/", "gradient_norm/", "cosine/", "update_share/", "rate/")
    return [
        {key: value for key, value in line.items() if key in keys or key.startswith(by_task)}
        for line in trainer.state.log_history
        if "loss" in line and line["step"] > after
    ]
