# SPDX-License-Identifier: Apache-2.0
"""What goes wrong beside the user's input, in words that say what to do: memory, workers, ranks."""

import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.distributed as dist
from accelerate.utils.memory import should_reduce_batch_size
from torch import Tensor

__all__ = [
    "LostRankError",
    "LostWorkerError",
    "lost_rank_named",
    "lost_worker_named",
    "out_of_memory_named",
]

_RESUME = (
    "Go on from the last checkpoint with `resume_from_checkpoint=True`, or `hf-mtl train --resume`."
)
_LOST_WORKER = re.compile(r"DataLoader worker \(pid.*\) (is killed|exited unexpectedly)", re.DOTALL)
_TENSOR_EXCHANGE = "torch.multiprocessing.reductions"
# How gloo says that the other end is gone; NCCL raises errors of classes of their own.
_LOST_PEER = re.compile(
    r"connection closed by peer|connection reset by peer|broken pipe|timed out waiting"
    r"|timeout caused pair closure|connection refused",
    re.IGNORECASE,
)


class LostWorkerError(RuntimeError):
    """A process that reads data ahead has died."""


class LostRankError(RuntimeError):
    """Another process of the run has died or stopped answering."""


@contextmanager
def out_of_memory_named(tasks: Iterable[str], inputs: Mapping[str, Tensor]) -> Iterator[None]:
    """Adds to an error of lacking memory which tasks and which batch met it, and what to lower.

    The error stays one that ``auto_find_batch_size`` knows: of the same class, with one argument
    that has the words of the first.

    Args:
        tasks: Tasks of the forward that runs in the block, or whose backward does.
        inputs: Its inputs, the main one first.

    Raises:
        torch.OutOfMemoryError: If the device's memory does not suffice.
        RuntimeError: If the host's does not.
    """
    try:
        yield
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        raise _same_kind(error)(
            f"{_named(tasks)} ran out of memory in a batch of {_size(inputs)}. Lower "
            f"`per_device_train_batch_size` (and raise `gradient_accumulation_steps` by as much, "
            f"so that steps stay the same), the `batch_size`, `batch_tokens` or `max_length` of "
            f"the task; or set `activation_checkpointing=True`, or `batches='separate'`. The "
            f"device says: {error}"
        ) from error


@contextmanager
def lost_worker_named(num_workers: int) -> Iterator[None]:
    """Turns the death of a worker of a ``DataLoader`` into an error that says what to do.

    PyTorch raises it wherever the main process is at that moment, in a forward pass too, so the
    block is all that runs while the loader is open.

    Args:
        num_workers: Workers of the loader.

    Raises:
        LostWorkerError: If a worker died.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        if not (_LOST_WORKER.search(str(error)) or _is_from_worker(error)):
            raise
        raise LostWorkerError(
            f"One of the {num_workers} processes that read data ahead has died, most often for "
            f"lack of memory. Lower `dataloader_num_workers` (0 reads in the main process). "
            f"{_RESUME} ({_first_line(error)})"
        ) from error


@contextmanager
def lost_rank_named(step: Callable[[], int], world_size: int) -> Iterator[None]:
    """Turns the errors that follow the loss of another rank into one that says so.

    The others notice at once where the lost one's machine closes its connections, else after
    ``ddp_timeout`` seconds.

    Args:
        step: Gives the optimizer step that the run is at when it happens.
        world_size: Number of ranks; with one nothing is turned.

    Raises:
        LostRankError: If a message to another rank failed.
    """
    try:
        yield
    except RuntimeError as error:
        is_lost = isinstance(error, dist.DistError) or _LOST_PEER.search(str(error))
        if world_size == 1 or isinstance(error, LostRankError) or not is_lost:
            raise
        raise LostRankError(
            f"A rank was lost at step {step()}: another process of this run has died or has not "
            f"answered for `ddp_timeout` seconds. If it could, it says why above or in the log of "
            f"its machine; a process without last words was killed, most often for lack of "
            f"memory. {_RESUME} ({_first_line(error)})"
        ) from error


def _named(tasks: Iterable[str]) -> str:
    names = [repr(task) for task in tasks]
    return f"Task {names[0]}" if len(names) == 1 else f"Tasks {', '.join(names)}"


def _size(inputs: Mapping[str, Tensor]) -> str:
    """Rows and tokens of a batch, or the shape of its rows where they are no tokens."""
    rows, *rest = next(iter(inputs.values())).shape
    if len(rest) == 1:
        return f"{rows} rows x {rest[0]} tokens"
    return f"{rows} rows of {' x '.join(map(str, rest))} values"


def _same_kind(error: RuntimeError) -> type[RuntimeError]:
    return torch.OutOfMemoryError if isinstance(error, torch.OutOfMemoryError) else RuntimeError


def _is_from_worker(error: Exception) -> bool:
    """Whether it was met while a tensor was taken over from another process of this machine."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") == _TENSOR_EXCHANGE for frame, _ in frames)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
