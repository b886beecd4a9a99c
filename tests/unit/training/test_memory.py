# SPDX-License-Identifier: Apache-2.0
"""What is said of the memory that a run needs, and of that which is there."""

import pytest
import torch

from hf_mtl.training.memory import Memory, free_memory, memory_warning

GIB = 2**30


def test_memory_that_will_not_do_is_said_with_numbers_and_what_to_lower():
    needed = Memory(parameters=GIB, gradients=GIB, optimizer=2 * GIB, activations=6 * GIB)
    assert memory_warning(needed, free=10 * GIB) is None
    words = memory_warning(needed, free=8 * GIB)
    assert words.startswith(
        "Training will most likely run out of memory: each process takes at least 10 GiB (1 GiB "
        "for parameters, 1 GiB for gradients, 2 GiB for the optimizer, 6 GiB for activations), but "
        "8 GiB are free for it. Lower `per_device_train_batch_size`"
    )
    assert "`activation_checkpointing=True`" in words


def test_where_the_model_itself_is_too_large_it_is_to_be_split():
    needed = Memory(parameters=GIB, gradients=GIB, optimizer=2 * GIB, activations=None)
    words = memory_warning(needed, free=3 * GIB)
    assert "Split the model over devices with `hf-mtl launch --config fsdp2`" in words


def test_memory_of_a_device_that_does_not_tell_is_not_judged():
    needed = Memory(parameters=GIB, gradients=GIB, optimizer=2 * GIB, activations=None)
    assert free_memory(torch.device("meta")) is None
    assert memory_warning(needed, free=None) is None


def test_processes_on_one_machine_share_its_memory():
    alone, one_of_four = free_memory(torch.device("cpu")), free_memory(torch.device("cpu"), 4)
    assert one_of_four == pytest.approx(alone / 4, rel=0.2)  # others take and give meanwhile


@pytest.mark.gpu
def test_free_memory_of_an_accelerator_is_what_it_says():
    assert 0 < free_memory(torch.device("cuda")) <= torch.cuda.mem_get_info()[1]
