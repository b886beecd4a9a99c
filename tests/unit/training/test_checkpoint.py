# SPDX-License-Identifier: Apache-2.0
"""Checks of checkpoint folders."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hf_mtl.training.checkpoint import check_complete, check_output_folder


@pytest.fixture
def model():
    return nn.ModuleDict({"backbone": nn.Linear(2, 2), "head": nn.Linear(2, 1)})


def save(folder, tensors):
    save_file(
        {name: tensor.clone() for name, tensor in tensors.items()}, folder / "model.safetensors"
    )


def test_a_checkpoint_with_every_tensor_is_complete(tmp_path, model):
    save(tmp_path, model.state_dict())
    check_complete(tmp_path, model)


def test_missing_tensors_are_named(tmp_path, model):
    save(tmp_path, model["backbone"].state_dict(prefix="backbone."))
    with pytest.raises(ValueError, match=r"lacks 2 tensors: head.weight, head.bias. Resume with"):
        check_complete(tmp_path, model)


def test_tensors_left_over_are_named(tmp_path, model):
    save(tmp_path, {**model.state_dict(), "old.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"has, beyond the model, 1 tensors: old.weight"):
        check_complete(tmp_path, model)


def test_tied_weights_may_be_saved_once(tmp_path):
    model = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    model["b"].weight = model["a"].weight
    save(tmp_path, {"a.weight": model["a"].weight})
    check_complete(tmp_path, model)


def test_a_file_cut_off_is_named(tmp_path, model):
    save(tmp_path, model.state_dict())
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"model.safetensors' must be whole, but it cannot"):
        check_complete(tmp_path, model)


def test_a_missing_shard_is_named(tmp_path, model):
    (tmp_path / "model.safetensors.index.json").write_text(
        '{"weight_map": {"head.weight": "model-00001-of-00002.safetensors"}}'
    )
    with pytest.raises(ValueError, match=r"model-00001-of-00002.safetensors' must be whole"):
        check_complete(tmp_path, model)


def test_an_empty_or_new_folder_may_be_trained_into(tmp_path):
    check_output_folder(tmp_path, is_overwriting=False)
    check_output_folder(tmp_path / "new", is_overwriting=False)


@pytest.mark.parametrize("other_run", ["checkpoint-10", "model.safetensors"])
def test_a_folder_with_another_run_is_refused(tmp_path, other_run):
    (tmp_path / other_run).mkdir()
    message = r"`output_dir` must not hold another run.*`resume_from_checkpoint=True`.*overwrite"
    with pytest.raises(ValueError, match=message):
        check_output_folder(tmp_path, is_overwriting=False)


def test_overwriting_removes_checkpoints_and_nothing_else(tmp_path):
    for name in ("checkpoint-10", "checkpoint-notes", "logs"):
        (tmp_path / name).mkdir()
    check_output_folder(tmp_path, is_overwriting=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-notes", "logs"]
