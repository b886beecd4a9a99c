# SPDX-License-Identifier: Apache-2.0
"""Tiny configurations of every family that the native head is promised for."""

from collections.abc import Callable
from typing import Any

from transformers import (
    AlbertConfig,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    Qwen3Config,
    RobertaConfig,
    T5Config,
    ViTConfig,
    XLMRobertaConfig,
)

__all__ = ["CONFIG_BY_FAMILY", "PAD", "VOCABULARY", "padding_token"]

PAD = 0
VOCABULARY = 50


def padding_token(family: str) -> int:
    """Id of padding; that of MPNet is 1 in its code, whatever its config says."""
    return 1 if family == "mpnet" else PAD


SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TEXT: dict[str, Any] = {**SIZES, "vocab_size": VOCABULARY, "pad_token_id": PAD}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
SPECIAL = {"bos_token_id": 1, "eos_token_id": 2}

CONFIG_BY_FAMILY: dict[str, Callable[[], PreTrainedConfig]] = {
    "bert": lambda: BertConfig(**TEXT, **NO_DROPOUT),
    "roberta": lambda: RobertaConfig(**TEXT, **NO_DROPOUT, **SPECIAL),
    "distilbert": lambda: DistilBertConfig(
        dim=16, n_layers=2, n_heads=2, hidden_dim=32, vocab_size=VOCABULARY, dropout=0.0,
        attention_dropout=0.0, seq_classif_dropout=0.0, pad_token_id=PAD,
    ),
    "deberta-v2": lambda: DebertaV2Config(
        **TEXT, **NO_DROPOUT, pooler_hidden_size=16, relative_attention=True,
        pos_att_type=["p2c", "c2p"],
    ),
    "modernbert": lambda: ModernBertConfig(
        **TEXT, **SPECIAL, cls_token_id=1, sep_token_id=2, classifier_pooling="mean"
    ),
    "electra": lambda: ElectraConfig(**TEXT, **NO_DROPOUT, embedding_size=8),
    "albert": lambda: AlbertConfig(
        **TEXT, **NO_DROPOUT, **SPECIAL, embedding_size=8, classifier_dropout_prob=0.0
    ),
    "mpnet": lambda: MPNetConfig(
        **{**TEXT, "pad_token_id": padding_token("mpnet")}, **NO_DROPOUT, bos_token_id=0,
        eos_token_id=2,
    ),
    "xlm-roberta": lambda: XLMRobertaConfig(**TEXT, **NO_DROPOUT, **SPECIAL),
    # Its encoder; that is what `hf_mtl` takes of it.
    "t5": lambda: T5Config(
        d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, vocab_size=VOCABULARY,
        dropout_rate=0.0, pad_token_id=PAD, eos_token_id=2,
    ),
    "gpt2": lambda: GPT2Config(
        n_embd=16, n_layer=2, n_head=2, vocab_size=VOCABULARY, embd_pdrop=0.0, attn_pdrop=0.0,
        resid_pdrop=0.0, classifier_dropout=0.0, **SPECIAL,
    ),
    "llama": lambda: LlamaConfig(
        **SIZES, **SPECIAL, num_key_value_heads=1, vocab_size=VOCABULARY, classifier_dropout=0.0
    ),
    "qwen3": lambda: Qwen3Config(
        **SIZES, **SPECIAL, num_key_value_heads=1, head_dim=8, vocab_size=VOCABULARY,
        classifier_dropout=0.0,
    ),
    "mistral": lambda: MistralConfig(
        **SIZES, **SPECIAL, num_key_value_heads=1, vocab_size=VOCABULARY, classifier_dropout=0.0
    ),
    "vit": lambda: ViTConfig(
        **SIZES, **NO_DROPOUT, image_size=8, patch_size=4, num_channels=1
    ),
}  # fmt: skip
