# SPDX-License-Identifier: Apache-2.0
"""Rows that are longer than a backbone can read, found before it reads them."""

import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoModel,
    BartConfig,
    BertConfig,
    DebertaV2Config,
    GPT2Config,
    LlamaConfig,
    RobertaConfig,
)

from hf_mtl.data import check_lengths, max_positions, prepare
from hf_mtl.tasks import TaskSpec, TaskSuite

SMALL = {
    "vocab_size": 10,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "max_position_embeddings": 6,
}


def backbone(config):
    with torch.device("meta"):
        return AutoModel.from_config(config)


def collection_of(tokenizer, **fields):
    suite = TaskSuite(
        {
            "topic": TaskSpec("text-classification", labels=("a",), source="rows", **fields),
            "score": TaskSpec("regression", source="rows", columns={"label": "number"}, **fields),
        }
    )
    rows = {"text": ["fox", "red fox runs fast .", "fox"], "label": ["a"] * 3, "number": [1.0] * 3}
    return prepare(suite, {"rows": Dataset.from_dict(rows)}, tokenizer)


def test_the_longest_row_is_named_with_its_tasks(tokenizer):
    collection = collection_of(tokenizer)
    check_lengths(collection, 7)  # five words, [CLS] and [SEP]
    check_lengths(collection, None)
    with pytest.raises(ValueError, match="at most 6 tokens") as caught:
        check_lengths(collection, 6)
    assert str(caught.value) == (
        "Rows must have at most 6 tokens, which is what the backbone has positions for, but row 1 "
        "of source 'rows' has 7. Give `max_length` (at most 6) to its tasks: 'topic', 'score'."
    )


def test_rows_that_are_cut_are_short_enough(tokenizer):
    check_lengths(collection_of(tokenizer, max_length=6), 6)


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        (BertConfig(**SMALL), 6),
        (RobertaConfig(**SMALL, pad_token_id=1), 4),  # positions 0 and 1 are padding's
        (GPT2Config(vocab_size=10, n_embd=8, n_layer=1, n_head=1, n_positions=6), 6),
        (LlamaConfig(**SMALL), None),  # rotated, not looked up
        (DebertaV2Config(**SMALL, relative_attention=True, position_biased_input=False), None),
        (
            BartConfig(
                vocab_size=10,
                d_model=8,
                encoder_layers=1,
                decoder_layers=1,
                encoder_attention_heads=1,
                decoder_attention_heads=1,
                max_position_embeddings=6,
                pad_token_id=1,
            ),
            6,
        ),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_the_limit_of_a_backbone_is_its_table_of_positions(config, limit):
    model = backbone(config)
    assert max_positions(model) == limit


@pytest.mark.parametrize("config", [BertConfig(**SMALL), RobertaConfig(**SMALL, pad_token_id=1)])
def test_a_backbone_reads_rows_up_to_its_limit_and_no_longer(config):
    model = AutoModel.from_config(config)
    limit = max_positions(model)
    model(input_ids=torch.full((1, limit), 3))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, limit + 1), 3))
