# SPDX-License-Identifier: Apache-2.0
"""Processes that die at the worst moment: a worker that reads data, a rank in a collective."""

import os
import signal
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset

from hf_mtl.training.faults import (
    LostRankError,
    LostWorkerError,
    lost_rank_named,
    lost_worker_named,
)

__all__ = ["DeadlyRows", "read_with_a_worker_that_dies", "sum_with_a_rank_that_dies"]


class DeadlyRows(Dataset[int]):
    """Six rows; whoever reads the last one is killed."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> int:
        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


def read_with_a_worker_that_dies() -> tuple[str, str]:
    """Reads those rows with one worker; gives the words of the error, and its cause.

    In a process of its own: the death of a worker is noticed wherever the process is at.
    """
    try:
        with lost_worker_named(1):
            for _ in DataLoader(DeadlyRows(), batch_size=2, num_workers=1):
                pass
    except LostWorkerError as error:
        return str(error), repr(error.__cause__)
    return "", ""


def sum_with_a_rank_that_dies(step: int) -> tuple[str, str]:
    """Adds up on two ranks until rank 1 is killed; rank 0 gives the error that it gets.

    Args:
        step: The step that the run is said to be at.

    Returns:
        Words of the error, and of its cause.
    """
    dist.init_process_group("gloo", timeout=timedelta(seconds=30))
    dist.all_reduce(torch.ones(1))
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        with lost_rank_named(lambda: step, 2):
            for _ in range(100):
                dist.all_reduce(torch.ones(1))
    except LostRankError as error:
        return str(error), str(error.__cause__)
    return "", ""
