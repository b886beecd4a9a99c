# SPDX-License-Identifier: Apache-2.0
"""Where backbones come from, and which are refused because they could not be loaded again."""

import pytest
import torch
from torch import nn
from transformers import (
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    MT5Config,
    MT5EncoderModel,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5Model,
    UMT5Config,
    UMT5EncoderModel,
)

from hf_mtl.models import MultiTaskModel
from hf_mtl.models.loading import align_memory, load_backbone, new_backbone
from hf_mtl.tasks import TaskSpec


def test_the_base_model_of_a_model_with_a_head_is_taken_and_not_copied(tiny_bert_config):
    single = BertForSequenceClassification(tiny_bert_config)
    assert load_backbone(single) is single.bert


def test_a_loaded_model_takes_no_arguments(tiny_bert_config):
    with pytest.raises(TypeError, match=r"\['dtype'\] must not be given with a loaded model"):
        load_backbone(BertModel(tiny_bert_config), dtype="float16")


def test_a_module_that_is_no_model_of_transformers_is_refused():
    with pytest.raises(TypeError, match="or a `PreTrainedModel`, but got a Linear"):
        load_backbone(nn.Linear(1, 1))


def test_tensors_are_moved_to_where_pytorch_would_have_put_them():
    layer = nn.Linear(4, 1)
    layer.weight.data = torch.arange(5.0)[1:].view(1, 4)
    assert layer.weight.data_ptr() % 64
    align_memory(layer)
    assert layer.weight.data_ptr() % 64 == 0
    assert layer.weight.tolist() == [[1, 2, 3, 4]]


@pytest.fixture
def t5_config() -> T5Config:
    return T5Config(vocab_size=24, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2)


def test_a_base_model_without_its_pooler_is_refused_because_it_could_not_be_loaded_again(
    tiny_bert_config,
):
    with pytest.raises(ValueError, match="BertModel was built without its pooler"):
        load_backbone(BertForMaskedLM(tiny_bert_config))


def test_a_folder_with_another_head_gives_the_whole_base_model(tiny_bert_config, tmp_path):
    BertForMaskedLM(tiny_bert_config).save_pretrained(tmp_path)
    assert load_backbone(tmp_path).pooler is not None
    with pytest.raises(ValueError, match="load it with `AutoModel` and without `add_pooling_layer"):
        load_backbone(tmp_path, add_pooling_layer=False)


@pytest.mark.parametrize("with_decoder", [T5Model, T5ForConditionalGeneration])
def test_of_an_encoder_with_a_decoder_only_the_encoder_is_loaded(t5_config, with_decoder, tmp_path):
    pretrained = with_decoder(t5_config)
    pretrained.save_pretrained(tmp_path)
    backbone = load_backbone(tmp_path)
    assert type(backbone) is T5EncoderModel
    assert torch.equal(backbone.shared.weight, pretrained.shared.weight)
    assert type(new_backbone(backbone.config)) is T5EncoderModel
    with pytest.raises(ValueError, match=r"must be an encoder .* got a T5.*or an `T5EncoderModel`"):
        load_backbone(pretrained)


def test_a_config_that_is_given_says_what_is_loaded(t5_config, tmp_path):
    T5Model(t5_config).save_pretrained(tmp_path)
    assert type(load_backbone(tmp_path, config=t5_config)) is T5EncoderModel


def test_what_is_no_model_is_refused_in_the_words_of_transformers(tmp_path):
    with pytest.raises(ValueError, match="Unrecognized model in"):
        load_backbone(tmp_path)


@pytest.mark.parametrize(
    ("family", "encoder"),
    [(T5Config, T5EncoderModel), (MT5Config, MT5EncoderModel), (UMT5Config, UMT5EncoderModel)],
)
def test_an_encoder_comes_back_bit_for_bit(t5_config, inputs, tmp_path, family, encoder):
    fields = t5_config.to_diff_dict()
    del fields["model_type"]
    config = family(**fields)
    tasks = {
        "topic": TaskSpec("text-classification", labels=("a", "b"), head="pooled"),
        "parts": TaskSpec("token-classification", labels=("O", "X")),
    }
    model = MultiTaskModel.from_backbone(encoder(config), tasks)
    model.save_pretrained(tmp_path)
    loaded = MultiTaskModel.from_pretrained(tmp_path)
    assert type(loaded.backbone) is encoder
    for task, logits in model(**inputs).logits.items():
        assert torch.equal(loaded(**inputs).logits[task], logits)
    assert torch.equal(
        model.to_single_task("parts")(**inputs).logits, model(**inputs).logits["parts"]
    )


def test_a_native_head_that_needs_a_decoder_is_refused_on_an_encoder(t5_config):
    topic = TaskSpec("text-classification", labels=("a", "b"))
    with pytest.raises(ValueError, match=r"T5ForSequenceClassification has parts .* head 'pooled'"):
        MultiTaskModel.from_backbone(T5EncoderModel(t5_config), {"topic": topic})
