# SPDX-License-Identifier: Apache-2.0
"""Native heads are copies of one skeleton, and nobody can tell."""

import gc

import pytest
import torch
from transformers import BertModel, GPT2Config, GPT2Model, LongformerConfig, LongformerModel

from hf_mtl.models import MultiTaskModel
from hf_mtl.models import backbone as address
from hf_mtl.models.backbone import genuine_head
from hf_mtl.tasks import TaskSpec

AUTO_MODELS = ("AutoModelForSequenceClassification", "AutoModelForTokenClassification")


@pytest.fixture
def bert(tiny_bert_config):
    return BertModel(tiny_bert_config)


@pytest.fixture
def gpt2():
    return GPT2Model(GPT2Config(vocab_size=20, n_positions=16, n_embd=16, n_layer=2, n_head=2))


@pytest.mark.parametrize("family", ["bert", "gpt2"])
@pytest.mark.parametrize("auto_model", AUTO_MODELS)
def test_a_copy_has_the_weights_of_a_head_that_is_built_anew(family, auto_model, request):
    backbone = request.getfixturevalue(family)
    states = []
    for is_built_anew in (True, False):
        if is_built_anew:
            address._SKELETONS.clear()
        torch.manual_seed(0)
        head, bypassed = genuine_head(auto_model, backbone, 3)
        states.append((head.state_dict(), bypassed, torch.get_rng_state()))
    (first, *rest), (second, *others) = states
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(map(torch.equal, rest[1:], others[1:]))  # the random stream goes on alike
    assert rest[0] == others[0]


def test_the_base_model_is_built_once_for_all_heads_of_one_form(bert, monkeypatch):
    built = []
    genuine_model = address.genuine_model

    def counted(auto_model, *rest):
        built.append(auto_model)
        return genuine_model(auto_model, *rest)

    monkeypatch.setattr(address, "genuine_model", counted)
    for auto_model, num_outputs in [(AUTO_MODELS[0], 3)] * 5 + [(AUTO_MODELS[0], 2)]:
        genuine_head(auto_model, bert, num_outputs)
    assert built == [AUTO_MODELS[0]] * 2


def test_heads_share_neither_weights_nor_config_nor_replay(bert):
    first, second = (genuine_head(AUTO_MODELS[0], bert, 3)[0] for _ in range(2))
    second.classifier.weight.data.zero_()
    second.config.pad_token_id = 7
    assert first.classifier.weight.any()
    assert first.config.pad_token_id == 0
    assert first.base_model is not second.base_model


def test_a_config_that_was_changed_since_counts(bert):
    genuine_head(AUTO_MODELS[0], bert, 3)
    bert.config.classifier_dropout = 0.25
    head, _ = genuine_head(AUTO_MODELS[0], bert, 3)
    assert head.dropout.p == 0.25


def test_a_backbone_that_was_cast_since_counts(bert):
    genuine_head(AUTO_MODELS[0], bert, 3)
    head, _ = genuine_head(AUTO_MODELS[0], bert.to(torch.bfloat16), 3)
    assert head.classifier.weight.dtype == torch.bfloat16


def test_skeletons_go_with_their_backbone(tiny_bert_config):
    address._SKELETONS.clear()
    backbone = BertModel(tiny_bert_config)
    genuine_head(AUTO_MODELS[0], backbone, 3)
    assert len(address._SKELETONS) == 1
    del backbone
    gc.collect()
    assert len(address._SKELETONS) == 0


@pytest.mark.parametrize("auto_model", AUTO_MODELS)
def test_adapters_that_were_put_into_the_backbone_are_not_bypassed(bert, auto_model):
    """Their names are in no model of the family; a pooler that is not used still is bypassed."""
    for layer in bert.encoder.layer:
        layer.attention.self.query.add_module("lora_A", torch.nn.Linear(16, 2, bias=False))
    _, bypassed = genuine_head(auto_model, bert, 3)
    pooler = {"pooler.dense.weight", "pooler.dense.bias"}
    assert bypassed == (pooler if "Token" in auto_model else set())


@pytest.mark.parametrize("task_type", ["text-classification", "question-answering"])
def test_heads_that_steer_the_backbone_are_refused(task_type):
    """Longformer's would be read from another attention than the family's."""
    config = LongformerConfig(
        vocab_size=24,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        attention_window=4,
        max_position_embeddings=40,
    )
    labels = ("a", "b") if task_type == "text-classification" else None
    with pytest.raises(ValueError, match="must be another one than 'native' on a longformer"):
        MultiTaskModel.from_backbone(
            LongformerModel(config), {"task": TaskSpec(task_type, labels=labels)}
        )
    parts = {"parts": TaskSpec("token-classification", labels=("O", "NAME"))}
    MultiTaskModel.from_backbone(LongformerModel(config), parts)
