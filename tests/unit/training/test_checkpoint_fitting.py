# SPDX-License-Identifier: Apache-2.0
"""Whether the tensors of a checkpoint are those of the model."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hf_mtl.training.checkpoints.fitting import check_complete


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


def test_heads_of_changed_tasks_may_differ_and_nothing_else(tmp_path):
    heads = {"new": nn.Linear(2, 1), "kept": nn.Linear(2, 1)}
    model = nn.ModuleDict({"backbone": nn.Linear(2, 2), "heads": nn.ModuleDict(heads)})
    tensors = model.state_dict()
    saved = {name: value for name, value in tensors.items() if "new" not in name}
    save(tmp_path, {**saved, "heads.old.weight": torch.zeros(1, 2)})
    check_complete(tmp_path, model, changed_tasks={"new", "old"})
    with pytest.raises(ValueError, match=r"lacks 2 tensors: heads.new.weight, heads.new.bias"):
        check_complete(tmp_path, model, changed_tasks={"old"})
    with pytest.raises(ValueError, match=r"has, beyond the model, 1 tensors: heads.old.weight"):
        check_complete(tmp_path, model, changed_tasks={"new"})


def test_tied_weights_without_memory_of_their_own_may_be_saved_once(tmp_path):
    """As under ZeRO-3, where parameters are placeholders between uses."""
    empty = nn.Parameter(torch.empty(0))
    model = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    model["a"].weight = model["b"].weight = empty
    save(tmp_path, {"a.weight": torch.zeros(2, 2)})
    check_complete(tmp_path, model)
    model["b"].weight = nn.Parameter(torch.empty(0))
    with pytest.raises(ValueError, match=r"lacks 1 tensors: b.weight"):
        check_complete(tmp_path, model)
