# SPDX-License-Identifier: Apache-2.0
"""Tiny backbones of every family that the grouped engine knows, and batches for them."""

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import (
    AlbertConfig,
    AutoModel,
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
    PreTrainedModel,
    Qwen3Config,
    RobertaConfig,
    T5Config,
    T5EncoderModel,
    ViTConfig,
    XLMRobertaConfig,
)

__all__ = ["CONFIGS", "backbone_of", "batch_for", "is_vision"]

VOCABULARY, LENGTH, PADDING = 50, 6, 1
TEXT = {"vocab_size": VOCABULARY, "pad_token_id": PADDING}
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
DECODER = {"num_key_value_heads": 1, "bos_token_id": 2, "eos_token_id": 3, "head_dim": 8}

CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "bert": lambda: BertConfig(**TEXT, **SIZES, **NO_DROPOUT),
    "roberta": lambda: RobertaConfig(**TEXT, **SIZES, **NO_DROPOUT),
    "distilbert": lambda: DistilBertConfig(
        **TEXT, dim=16, n_layers=2, n_heads=2, hidden_dim=24, dropout=0.0, attention_dropout=0.0
    ),
    "deberta-v2": lambda: DebertaV2Config(
        **TEXT,
        **SIZES,
        **NO_DROPOUT,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        position_buckets=4,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_biased_input=False,
        conv_kernel_size=3,
    ),
    "modernbert": lambda: ModernBertConfig(**TEXT, **SIZES, bos_token_id=2, eos_token_id=3),
    "albert": lambda: AlbertConfig(**TEXT, **SIZES, **NO_DROPOUT, embedding_size=8),
    "electra": lambda: ElectraConfig(**TEXT, **SIZES, **NO_DROPOUT, embedding_size=8),
    "mpnet": lambda: MPNetConfig(**TEXT, **SIZES, **NO_DROPOUT),
    "gpt2": lambda: GPT2Config(
        **TEXT,
        n_embd=16,
        n_layer=2,
        n_head=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=2,
        eos_token_id=3,
    ),
    "llama": lambda: LlamaConfig(**TEXT, **SIZES, **DECODER),
    "mistral": lambda: MistralConfig(**TEXT, **SIZES, **DECODER),
    "qwen3": lambda: Qwen3Config(**TEXT, **SIZES, **DECODER),
    "xlm-roberta": lambda: XLMRobertaConfig(**TEXT, **SIZES, **NO_DROPOUT),
    "t5": lambda: T5Config(
        **TEXT, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, dropout_rate=0.0
    ),
    "vit": lambda: ViTConfig(**SIZES, **NO_DROPOUT, image_size=8, patch_size=4),
}


def is_vision(family: str) -> bool:
    """Whether a family reads pictures."""
    return family == "vit"


def backbone_of(family: str, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    """A random backbone of that family, without dropout, in training mode."""
    torch.manual_seed(0)
    config = CONFIGS[family]()
    model = T5EncoderModel(config) if family == "t5" else AutoModel.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Biases that are 0, and scales that are 1, would hide mistakes.
            parameter += 0.3 * torch.randn_like(parameter)
    return model.to(dtype).train()


def batch_for(family: str, num_rows: int, length: int = LENGTH) -> dict[str, Tensor]:
    """Random inputs; the texts are of unequal length, padded on the right."""
    generator = torch.Generator().manual_seed(num_rows)
    if is_vision(family):
        return {"pixel_values": torch.randn(num_rows, 3, 8, 8, generator=generator).double()}
    tokens = torch.randint(4, VOCABULARY, (num_rows, length), generator=generator)
    lengths = torch.randint(2, length + 1, (num_rows, 1), generator=generator)
    lengths[0] = length
    mask = (torch.arange(length) < lengths).long()
    return {"input_ids": tokens.where(mask.bool(), PADDING), "attention_mask": mask}
