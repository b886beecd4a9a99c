# SPDX-License-Identifier: Apache-2.0
"""What depends on how transformers builds its models."""

import pytest
import torch
from transformers import (
    BertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    OPTConfig,
    OPTModel,
    PreTrainedConfig,
    ResNetConfig,
    RobertaConfig,
    RobertaModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling

from hf_mtl.models.backbone import (
    BackboneReplay,
    backbone_inputs,
    counts_positions_from_zero,
    drop_cache,
    freeze,
    genuine_head,
    hidden_size,
    settle_pad_token,
)
from hf_mtl.models.nested_outputs import row_slice


def test_a_replay_returns_its_output_inside_the_block_only():
    replay = BackboneReplay()
    with replay.of("output"):
        assert replay(1, attention_mask=2) == "output"
    assert replay() is None


def test_a_native_head_takes_no_memory_for_the_backbone(tiny_bert_config):
    head, bypassed = genuine_head(
        "AutoModelForSequenceClassification", BertModel(tiny_bert_config), 3
    )
    assert [name for name, _ in head.named_parameters()] == [
        "classifier.weight",
        "classifier.bias",
    ]
    assert not any(parameter.is_meta for parameter in head.parameters())
    assert bypassed == frozenset()


def test_a_native_head_names_what_its_family_leaves_unused(tiny_bert_config):
    _, bypassed = genuine_head("AutoModelForTokenClassification", BertModel(tiny_bert_config), 3)
    assert bypassed == {"pooler.dense.weight", "pooler.dense.bias"}


def test_a_family_without_that_class_is_refused_by_name(tiny_bert_config):
    with pytest.raises(ValueError, match="'bert' has no AutoModelForImageClassification"):
        genuine_head("AutoModelForImageClassification", BertModel(tiny_bert_config), 3)


def test_rows_are_taken_out_of_everything_that_has_rows():
    output = BaseModelOutputWithPooling(
        last_hidden_state=torch.arange(12).view(3, 2, 2),
        pooler_output=torch.tensor([[0], [1], [2]]),
        hidden_states=(torch.tensor([7, 8, 9]),),
    )
    sliced = row_slice(output, torch.tensor([2, 0]), 3)
    assert type(sliced) is BaseModelOutputWithPooling
    assert sliced.last_hidden_state.tolist() == [[[8, 9], [10, 11]], [[0, 1], [2, 3]]]
    assert sliced.pooler_output.tolist() == [[2], [0]]
    assert sliced.hidden_states[0].tolist() == [9, 7]


def test_what_has_no_rows_is_handed_on():
    inputs = {"ids": torch.tensor([[0], [1]]), "position_ids": torch.tensor([[5]]), "flag": True}
    sliced = row_slice(inputs, torch.tensor([1]), 2)
    assert sliced["ids"].tolist() == [[1]]
    assert sliced["position_ids"].tolist() == [[5]]
    assert sliced["flag"] is True


def test_freezing_thaws_what_was_frozen_here_and_nothing_else(tiny_bert_config):
    backbone = BertModel(tiny_bert_config)
    weight, bias = backbone.pooler.dense.parameters()
    weight.requires_grad_(False)
    frozen = freeze(backbone, {"pooler.dense.weight", "pooler.dense.bias"}, frozen=())
    assert frozen == {"pooler.dense.bias"}
    assert freeze(backbone, {"pooler.dense.bias"}, frozen) == frozen
    assert not bias.requires_grad
    assert freeze(backbone, (), frozen) == frozenset()
    assert bias.requires_grad
    assert not weight.requires_grad


@pytest.mark.parametrize(
    ("config", "size"),
    [(LlamaConfig(hidden_size=64), 64), (ResNetConfig(hidden_sizes=[8, 16]), 16)],
)
def test_the_hidden_size_is_found_in_flat_and_hierarchical_backbones(config, size):
    assert hidden_size(config) == size


class Tokenizer:
    pad_token_id = 5


@pytest.mark.parametrize(("own", "expected"), [(None, 5), (3, 3)])
def test_the_padding_token_is_taken_from_the_tokenizer_only_where_none_is_known(own, expected):
    config = LlamaConfig(pad_token_id=own)
    settle_pad_token(config, Tokenizer())
    assert config.pad_token_id == expected


def test_a_config_without_tokens_gets_none():
    config = PreTrainedConfig()
    settle_pad_token(config, Tokenizer())
    assert not hasattr(config, "pad_token_id")


def test_keys_and_values_are_not_kept_unless_asked_for(tiny_bert_config):
    backbone = BertModel(tiny_bert_config)
    assert drop_cache(backbone, {}) == {"use_cache": False}
    assert drop_cache(backbone, {"use_cache": True}) == {"use_cache": True}


@pytest.fixture
def tiny_gpt2() -> GPT2Model:
    config = GPT2Config(vocab_size=9, n_embd=16, n_layer=1, n_head=2, n_positions=8)
    return GPT2Model(config).eval()


def test_families_that_count_padding_as_positions_are_told_from_others(tiny_bert_config, tiny_gpt2):
    sizes = {"vocab_size": 9, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    assert counts_positions_from_zero(BertModel(tiny_bert_config))
    assert counts_positions_from_zero(tiny_gpt2)
    with torch.device("meta"):
        others = (
            RobertaModel(RobertaConfig(**sizes)),
            LlamaModel(LlamaConfig(**sizes)),
            OPTModel(OPTConfig(**sizes, word_embed_proj_dim=16)),
        )
    assert not any(map(counts_positions_from_zero, others))


MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]])


def test_positions_start_at_the_first_real_token(tiny_gpt2):
    prepared = backbone_inputs(tiny_gpt2, {"attention_mask": MASK}, counts_from_zero=True)
    assert prepared["position_ids"].tolist() == [
        [0, 1, 2, 3],
        [0, 1, 2, 3],
        [0, 0, 0, 1],
        [0, 1, 2, 3],
    ]


@pytest.mark.parametrize(
    "inputs",
    [{}, {"attention_mask": MASK[None]}, {"attention_mask": MASK, "past_key_values": "kept"}],
)
def test_positions_are_left_to_the_backbone_where_the_mask_does_not_say(tiny_gpt2, inputs):
    assert "position_ids" not in backbone_inputs(tiny_gpt2, inputs, counts_from_zero=True)


def test_positions_that_are_given_are_kept(tiny_gpt2):
    given = {"attention_mask": MASK, "position_ids": torch.ones(1)}
    prepared = backbone_inputs(tiny_gpt2, given, counts_from_zero=True)
    assert prepared["position_ids"] is given["position_ids"]


def test_padding_on_the_right_gives_the_bits_of_the_backbone_alone(tiny_gpt2):
    inputs = {"input_ids": torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]), "attention_mask": MASK[:2]}
    prepared = backbone_inputs(tiny_gpt2, inputs, counts_from_zero=True)
    assert torch.equal(tiny_gpt2(**prepared)[0], tiny_gpt2(**inputs)[0])
