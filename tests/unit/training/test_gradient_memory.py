# SPDX-License-Identifier: Apache-2.0
"""What a gradient method remembers by element: of which tasks, in a file and out of it."""

import pytest
import torch
from torch import nn

from hf_mtl.gradients import MoCo, PCGrad
from hf_mtl.training.checkpoints.tensor_files import load_tensor_files, save_tensor_files
from hf_mtl.training.gradient_memory import GradientMemory, memory_bytes


def memory_of(*tasks):
    return GradientMemory(("average",), lambda: list(tasks))


def filled():
    """Of three tasks, two of which have been there, with one parameter."""
    memory = memory_of("a", "b", "c")
    tasks = torch.tensor([0, 2])
    assert memory.of("weight", tasks, torch.ones(2, 2))["average"].tolist() == [[0, 0], [0, 0]]
    memory.keep("weight", tasks, {"average": torch.tensor([[1.0, 2.0], [3.0, 4.0]])})
    return memory


def test_tasks_that_were_absent_have_zeros():
    found = filled().of("weight", torch.arange(3), torch.ones(3, 2))
    assert found["average"].tolist() == [[1, 2], [0, 0], [3, 4]]


def test_what_is_handed_out_is_a_copy():
    memory = filled()
    memory.of("weight", torch.arange(3), torch.ones(3, 2))["average"].zero_()
    assert memory.tensors()[0]["average/weight"].tolist() == [[1, 2], [0, 0], [3, 4]]


def test_a_file_brings_it_back_by_task(tmp_path):
    parts = {"memory.safetensors": filled()}
    save_tensor_files(parts, tmp_path)
    other = memory_of("new", "c", "a")
    load_tensor_files({"memory.safetensors": other}, tmp_path)
    other.begin()
    assert other.tensors()[0]["average/weight"].tolist() == [[0, 0], [3, 4], [1, 2]]
    other.begin()  # another run
    assert other.tensors()[0] == {}


def test_nothing_is_remembered_of_a_run_that_compared_nothing(tmp_path):
    save_tensor_files({"memory.safetensors": memory_of("a", "b")}, tmp_path)
    other = memory_of("a", "b")
    load_tensor_files({"memory.safetensors": other}, tmp_path)
    assert other.tensors()[0] == {}


def test_a_file_that_is_missing_or_damaged_is_named(tmp_path):
    parts = {"memory.safetensors": memory_of("a")}
    with pytest.raises(ValueError, match=r"must hold 'memory.safetensors', without which the run"):
        load_tensor_files(parts, tmp_path)
    (tmp_path / "memory.safetensors").write_text("no tensors")
    with pytest.raises(ValueError, match=r"memory.safetensors' must be whole, but it cannot be"):
        load_tensor_files(parts, tmp_path)


def test_bytes_are_those_of_all_tasks_in_32_bits_at_least():
    sizes = [(torch.bfloat16, 4), (torch.float32, 4), (torch.float64, 8)]
    for dtype, itemsize in sizes:
        parameters = [nn.Parameter(torch.zeros(3, 5, dtype=dtype))]
        assert memory_bytes(MoCo(), parameters, num_tasks=4) == 4 * 15 * itemsize
        assert memory_bytes(PCGrad(), parameters, num_tasks=4) == 0
