# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: what comes back is what was saved, or an error that names what is wrong."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    GPT2Config,
    T5Config,
    ViTConfig,
    ViTModel,
)

from hf_mtl.models import MultiTaskModel
from hf_mtl.models.checkpoint import check_loading, load_processing_class, location
from hf_mtl.tasks import TaskSpec


def assert_same_model(loaded: MultiTaskModel, model: MultiTaskModel) -> None:
    """Same tasks, same tensors under the same names, same parameters frozen."""
    assert type(loaded) is MultiTaskModel
    assert loaded.suite == model.suite
    tensors = model.state_dict()
    assert list(loaded.state_dict()) == list(tensors)
    assert all(torch.equal(value, tensors[name]) for name, value in loaded.state_dict().items())
    assert [parameter.requires_grad for parameter in loaded.parameters()] == [
        parameter.requires_grad for parameter in model.parameters()
    ]


def change_tensors(folder: Path, change) -> None:
    """Rewrites the weights file of a checkpoint."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("loader", [MultiTaskModel, AutoModel])
@pytest.mark.parametrize("max_shard_size", ["1GB", "4KB"])
def test_a_model_comes_back_whole_and_from_shards(model, loader, max_shard_size, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size=max_shard_size)
    assert (tmp_path / "model.safetensors").exists() == (max_shard_size == "1GB")
    assert_same_model(loader.from_pretrained(tmp_path), model)


def test_a_logit_of_one_output_comes_back_to_the_last_bit(model, inputs, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = MultiTaskModel.from_pretrained(tmp_path)
    one_row = {name: value[:1] for name, value in inputs.items()}
    for task, logits in model(**one_row).logits.items():
        assert torch.equal(loaded(**one_row).logits[task], logits)


def test_a_dtype_that_is_asked_for_is_given(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = MultiTaskModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}


def test_a_model_in_bfloat16_comes_back_in_bfloat16(model, tmp_path):
    model.bfloat16().save_pretrained(tmp_path)
    assert_same_model(MultiTaskModel.from_pretrained(tmp_path), model)


def test_the_attention_that_is_asked_for_reaches_the_backbone(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = MultiTaskModel.from_pretrained(tmp_path, attn_implementation="eager")
    assert loaded.backbone.config._attn_implementation == "eager"


@pytest.fixture
def vision_model() -> MultiTaskModel:
    """A ViT; transformers saves it under older names of its weights."""
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        image_size=8, patch_size=4, num_channels=1,
    )  # fmt: skip
    # Words that occur in the names that are changed.
    names = ("digit", "encoder", "layer", "attention", "vit", "backbone")
    spec = TaskSpec("image-classification", labels=("0", "1"))
    return MultiTaskModel.from_backbone(ViTModel(config), dict.fromkeys(names, spec))


@pytest.mark.parametrize("save_original_format", [True, False])
def test_a_vit_comes_back_whatever_names_its_weights_are_saved_under(
    vision_model, save_original_format, tmp_path
):
    vision_model.save_pretrained(tmp_path, save_original_format=save_original_format)
    assert_same_model(MultiTaskModel.from_pretrained(tmp_path), vision_model)


def test_weights_saved_under_current_names_load_strictly(vision_model, tmp_path):
    vision_model.save_pretrained(tmp_path, save_original_format=False)
    assert set(load_file(tmp_path / "model.safetensors")) == set(vision_model.state_dict())


def test_a_task_that_does_not_know_its_labels_comes_back_without_head(tiny_bert_config, tmp_path):
    tasks = {"topic": TaskSpec("text-classification"), "valence": TaskSpec("regression")}
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), tasks)
    model.save_pretrained(tmp_path)
    assert_same_model(MultiTaskModel.from_pretrained(tmp_path), model)


def test_a_model_whose_tasks_changed_comes_back(model, tmp_path):
    model.add_task("mood", TaskSpec("regression", head={"name": "pooled", "pooling": "max"}))
    model.remove_task("topic")
    model.save_pretrained(tmp_path)
    assert_same_model(MultiTaskModel.from_pretrained(tmp_path), model)


def test_the_loading_info_is_given_on_request(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded, info = MultiTaskModel.from_pretrained(tmp_path, output_loading_info=True)
    assert_same_model(loaded, model)
    assert not info["missing_keys"]


def test_a_missing_head_is_named(model, tmp_path):
    model.save_pretrained(tmp_path)
    change_tensors(tmp_path, lambda tensors: tensors.pop("heads.valence.model.classifier.weight"))
    with pytest.raises(ValueError, match=r"no weights for the heads of tasks: valence"):
        MultiTaskModel.from_pretrained(tmp_path)


def test_an_extra_head_is_named(model, tmp_path):
    model.save_pretrained(tmp_path)
    model.remove_task("valence")
    model.config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"config.json does not have: valence"):
        MultiTaskModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("loader", [MultiTaskModel, AutoModel])
def test_a_missing_tensor_of_the_backbone_is_named(model, loader, tmp_path):
    model.save_pretrained(tmp_path)
    change_tensors(tmp_path, lambda tensors: tensors.pop("backbone.pooler.dense.weight"))
    with pytest.raises(ValueError, match=r"no weights for: backbone.pooler.dense.weight"):
        loader.from_pretrained(tmp_path)


def test_an_extra_tensor_is_named(model, tmp_path):
    model.save_pretrained(tmp_path)
    change_tensors(tmp_path, lambda tensors: tensors.update({"adapter.a": torch.ones(1)}))
    with pytest.raises(ValueError, match=r"model does not have: adapter.a"):
        MultiTaskModel.from_pretrained(tmp_path)


def test_many_missing_tensors_are_counted():
    missing = [f"t{index:02}" for index in range(12)]
    info = {"missing_keys": missing, "unexpected_keys": [], "mismatched_keys": []}
    with pytest.raises(ValueError, match=r"t09, \.\.\. 12 in all\."):
        check_loading("x", info)


def test_a_checkpoint_with_adapters_says_how_to_load_it(model, tmp_path):
    model.save_pretrained(tmp_path)
    key = "backbone.encoder.layer.0.attention.self.query.base_layer.weight"
    change_tensors(tmp_path, lambda tensors: tensors.update({key: torch.ones(5)}))
    with pytest.raises(ValueError, match=r"must have no adapters .*`load_state_dict`"):
        MultiTaskModel.from_pretrained(tmp_path)


def test_a_head_of_another_size_is_loaded_anew_only_on_request(model, tmp_path):
    model.save_pretrained(tmp_path)
    key = "heads.topic.model.classifier.bias"
    change_tensors(tmp_path, lambda tensors: tensors.update({key: torch.ones(5)}))
    with pytest.raises(ValueError, match=rf"another size: {key} \(\[5\] instead of \[3\]\)"):
        MultiTaskModel.from_pretrained(tmp_path)
    loaded = MultiTaskModel.from_pretrained(tmp_path, ignore_mismatched_sizes=True)
    assert loaded.heads["topic"].model.classifier.bias.tolist() == [0, 0, 0]


@pytest.mark.parametrize("num_bytes", [0, 5, 500, -1])
def test_a_weights_file_that_was_cut_off_is_named(model, num_bytes, tmp_path):
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(OSError, match=rf"{path} cannot be read .*It was cut off or damaged"):
        MultiTaskModel.from_pretrained(tmp_path)


def test_the_shard_that_was_cut_off_is_named(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="4KB")
    path = sorted(tmp_path.glob("*.safetensors"))[1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match=rf"but {path} cannot be read"):
        MultiTaskModel.from_pretrained(tmp_path)


def test_a_backbone_that_was_cut_off_is_named(tiny_bert_config, suite, tmp_path):
    BertModel(tiny_bert_config).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match=rf"but {path} cannot be read"):
        MultiTaskModel.from_backbone(tmp_path, suite)


def test_the_tokenizer_is_saved_with_the_model_and_found_again(
    tiny_bert_config, suite, tiny_tokenizer, tmp_path
):
    model = MultiTaskModel.from_backbone(
        BertModel(tiny_bert_config), suite, processing_class=tiny_tokenizer
    )
    model.save_pretrained(tmp_path)
    found = MultiTaskModel.from_pretrained(tmp_path).processing_class
    assert found("the film").input_ids == tiny_tokenizer("the film").input_ids


@pytest.mark.parametrize("loader", [MultiTaskModel, AutoModel])
def test_the_tokenizer_of_a_model_in_a_subfolder_is_found(model, tiny_tokenizer, loader, tmp_path):
    model.processing_class = tiny_tokenizer
    model.save_pretrained(tmp_path / "sub")
    found = loader.from_pretrained(tmp_path, subfolder="sub").processing_class
    assert found("the film").input_ids == tiny_tokenizer("the film").input_ids


def test_the_tokenizer_of_a_backbone_in_a_subfolder_is_found(
    tiny_bert_config, suite, tiny_tokenizer, tmp_path
):
    BertModel(tiny_bert_config).save_pretrained(tmp_path / "sub")
    tiny_tokenizer.save_pretrained(tmp_path / "sub")
    model = MultiTaskModel.from_backbone(tmp_path, suite, subfolder="sub")
    assert model.processing_class is not None


def test_a_tokenizer_is_looked_for_where_the_weights_were():
    given = {"subfolder": "sub", "revision": "v1", "token": "t", "dtype": "float16"}
    assert location(given) == {"subfolder": "sub", "revision": "v1", "token": "t"}


def test_the_tokenizer_beside_a_backbone_is_found(
    tiny_bert_config, suite, tiny_tokenizer, tmp_path
):
    BertModel(tiny_bert_config).save_pretrained(tmp_path / "backbone")
    tiny_tokenizer.save_pretrained(tmp_path / "backbone")
    MultiTaskModel.from_backbone(tmp_path / "backbone", suite).save_pretrained(tmp_path / "model")
    assert (tmp_path / "model" / "tokenizer.json").exists()


def test_a_model_that_came_from_nowhere_has_no_processing_class(model, tmp_path):
    model.save_pretrained(tmp_path)
    assert model.processing_class is None
    assert not (tmp_path / "tokenizer.json").exists()


@pytest.mark.parametrize("main_input", ["input_ids", "pixel_values", "input_features"])
def test_a_folder_without_processing_class_gives_none(main_input, tmp_path):
    assert load_processing_class(str(tmp_path), main_input) is None


@pytest.mark.parametrize("config", [BertConfig(), T5Config(), GPT2Config()])
def test_a_tokenizer_that_transformers_makes_up_is_none(config, tmp_path):
    config.save_pretrained(tmp_path)
    made_up = AutoTokenizer.from_pretrained(tmp_path)
    assert len(made_up.get_vocab().keys() - set(made_up.all_special_tokens)) <= 1
    assert load_processing_class(str(tmp_path), "input_ids") is None
