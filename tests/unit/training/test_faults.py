# SPDX-License-Identifier: Apache-2.0
"""Faults that are nobody's input: memory, workers and ranks that are lost, in words that help."""

import re

import pytest
import torch
from accelerate.utils.memory import find_executable_batch_size, should_reduce_batch_size
from lost_processes import read_with_a_worker_that_dies, sum_with_a_rank_that_dies
from ranks import run_ranks, start_ranks
from torch.multiprocessing.reductions import rebuild_storage_fd

from hf_mtl.training.faults import (
    LostRankError,
    LostWorkerError,
    lost_rank_named,
    lost_worker_named,
    out_of_memory_named,
)

CUDA_WORDS = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1 GiB free."
TOKENS = {"input_ids": torch.ones(8, 128, dtype=torch.long), "attention_mask": torch.ones(8, 128)}


def run_out(words: str = CUDA_WORDS, error: type[RuntimeError] = torch.OutOfMemoryError) -> None:
    raise error(words)


def test_lacking_memory_names_tasks_batch_and_what_to_lower():
    with (
        pytest.raises(torch.OutOfMemoryError) as caught,
        out_of_memory_named(["parts", "kind"], TOKENS),
    ):
        run_out()
    words = str(caught.value)
    assert words.startswith(
        "Tasks 'parts', 'kind' ran out of memory in a batch of 8 rows x 128 tokens. Lower "
        "`per_device_train_batch_size`"
    )
    for name in ("gradient_accumulation_steps", "batch_size", "max_length"):
        assert f"`{name}`" in words
    assert "`activation_checkpointing=True`, or `batches='separate'`" in words
    assert words.endswith(f"The device says: {CUDA_WORDS}")
    assert str(caught.value.__cause__) == CUDA_WORDS


def test_a_batch_of_pictures_has_the_shape_of_its_rows():
    with (
        pytest.raises(torch.OutOfMemoryError, match=r"Task 'scene' .* 4 rows of 3 x 8 x 8 values"),
        out_of_memory_named(["scene"], {"pixel_values": torch.ones(4, 3, 8, 8)}),
    ):
        run_out()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (CUDA_WORDS, torch.OutOfMemoryError),
        ("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes", RuntimeError),
    ],
)
def test_lacking_memory_is_still_known_to_the_search_for_a_batch_size(words, error):
    with pytest.raises(error) as caught, out_of_memory_named(["topic"], TOKENS):
        run_out(words, error)
    assert should_reduce_batch_size(caught.value)
    assert len(caught.value.args) == 1


def test_the_search_for_a_batch_size_goes_on_after_a_named_error():
    tried = []

    @find_executable_batch_size(starting_batch_size=8)
    def train(batch_size: int) -> int:
        tried.append(batch_size)
        with out_of_memory_named(["topic"], TOKENS):
            if batch_size > 4:
                run_out()
        return batch_size

    assert train() == tried[-1] <= 4
    assert tried[0] == 8


def test_a_real_lack_of_memory_on_the_host_is_named():
    with (
        pytest.raises(RuntimeError, match="Task 'topic' ran out of memory in a batch of 8 rows"),
        out_of_memory_named(["topic"], TOKENS),
    ):
        torch.empty(2**60, dtype=torch.uint8)  # an exbibyte


@pytest.mark.parametrize(
    "context",
    [
        out_of_memory_named(["topic"], TOKENS),
        lost_worker_named(2),
        lost_rank_named(lambda: 3, 2),
    ],
    ids=["memory", "worker", "rank"],
)
def test_another_error_passes_unchanged(context):
    with pytest.raises(RuntimeError, match=r"^shapes differ$") as caught, context:
        raise RuntimeError("shapes differ")
    assert type(caught.value) is RuntimeError


@pytest.mark.distributed
def test_a_worker_that_is_killed_is_named_with_what_to_do():
    ((words, cause),) = run_ranks(read_with_a_worker_that_dies, 1, timeout=60)
    assert words.startswith(
        "One of the 1 processes that read data ahead has died, most often for lack of memory. "
        "Lower `dataloader_num_workers`"
    )
    assert "`resume_from_checkpoint=True`" in words
    # Which of them depends on what the main process was doing.
    assert re.search(r"DataLoader worker|ConnectionResetError|EOFError", cause)


class Unreachable:
    """Stands for the file of a tensor of a process that is gone."""

    def detach(self) -> int:
        raise ConnectionResetError(104, "Connection reset by peer")


def test_a_worker_that_is_killed_while_it_hands_over_a_tensor_is_named():
    with pytest.raises(LostWorkerError, match="One of the 2 processes"), lost_worker_named(2):
        rebuild_storage_fd(torch.UntypedStorage, Unreachable(), 8)


def test_a_lost_connection_elsewhere_is_no_lost_worker():
    with pytest.raises(ConnectionResetError), lost_worker_named(2):
        Unreachable().detach()


@pytest.mark.distributed
def test_a_rank_that_is_killed_is_named_by_the_other_at_once():
    first, second = start_ranks(sum_with_a_rank_that_dies, 2, 7, timeout=60)
    assert second.exit_code == -9
    assert first.error is None
    words, cause = first.value
    assert words.startswith("A rank was lost at step 7: another process of this run has died")
    assert "`resume_from_checkpoint=True`" in words
    assert cause.split("\n")[0] in words


@pytest.mark.parametrize("error", ["DistBackendError", "DistNetworkError", "DistStoreError"])
def test_errors_of_other_backends_mean_a_lost_rank_as_well(error):
    with pytest.raises(LostRankError, match="at step 3") as caught, lost_rank_named(lambda: 3, 2):
        raise getattr(torch.distributed, error)("NCCL communicator was aborted on rank 0.")
    assert "(NCCL communicator was aborted on rank 0.)" in str(caught.value)
