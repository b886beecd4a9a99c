# SPDX-License-Identifier: Apache-2.0
"""Task gradients of data parallel ranks: averaged, and each rank left with a part of them.

Every rank needs the inner products of the *averaged* gradients; those of its own gradients say
something else. An all-reduce of the ``T x P`` numbers would send them twice; here they are sent
once (reduce-scatter), each rank multiplies and combines its own part, and only the direction, ``P``
numbers, is gathered.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from hf_mtl.training.engines.block import Block

__all__ = ["ScatteredBlocks", "with_same_rows"]

# Numbers of one message.
_MESSAGE_SIZE = 2**25


class ScatteredBlocks:
    """This rank's part of the averaged gradients of some blocks.

    Args:
        blocks: This rank's own gradients; the same parameters and rows on every rank.
        world_size: Number of ranks, all of which must do the same.
    """

    def __init__(self, blocks: Sequence[Block], world_size: int) -> None:
        self._world_size = world_size
        self._messages = list(_messages(blocks))
        self.matrices = [self._scattered(message) for message in self._messages]

    def set_gradients(self, coefficients: Tensor) -> None:
        """Makes combinations of the averaged gradients those of the parameters.

        Args:
            coefficients: ``[S]``.
        """
        for message, own in zip(self._messages, self.matrices, strict=True):
            part = coefficients.to(own) @ own
            whole = part.new_empty(self._world_size, len(part))
            dist.all_gather(list(whole), part)
            sizes = [block.gradients.shape[1] for block in message]
            pieces = whole.flatten()[: sum(sizes)].split(sizes)
            for block, piece in zip(message, pieces, strict=True):
                block.set_gradient(piece)

    def _scattered(self, message: Sequence[Block]) -> Tensor:
        num_tasks = len(message[0].gradients)
        length = sum(block.gradients.shape[1] for block in message)
        # One at least, for there may be no row at all.
        own_length = max(1, -(-length // self._world_size))
        # The part of each rank has to be contiguous.
        sent = message[0].gradients.new_zeros(self._world_size, num_tasks, own_length)
        flat = torch.cat([block.gradients for block in message], dim=1)
        for rank, part in enumerate(flat.split(own_length, dim=1)):
            sent[rank, :, : part.shape[1]] = part
        own = torch.empty_like(sent[0])
        dist.reduce_scatter(own, list(sent))
        return own / self._world_size


def with_same_rows(blocks: Sequence[Block]) -> list[Block]:
    """Blocks that hold the same rows on every rank: all that some rank has.

    Args:
        blocks: This rank's blocks; all ranks must call this with the same parameters.
    """
    return [block if block.rows is None else _with_rows_of_all(block) for block in blocks]


def _with_rows_of_all(block: Block) -> Block:
    assert block.rows is not None
    num_tasks, height = len(block.gradients), len(block.parameter)
    width = block.parameter[:1].numel()
    occurs = torch.zeros(height, dtype=torch.int32, device=block.gradients.device)
    occurs[block.rows] = 1
    dist.all_reduce(occurs, op=dist.ReduceOp.MAX)
    rows = occurs.nonzero().flatten()
    own = block.gradients.view(num_tasks, len(block.rows), width)
    gradients = own.new_zeros(num_tasks, len(rows), width)
    gradients[:, torch.searchsorted(rows, block.rows)] = own
    return Block(block.parameter, gradients.flatten(1), rows)


def _messages(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Blocks of one data type, as many as fit into a message; at least one."""
    message: list[Block] = []
    size = 0
    for block in blocks:
        is_other = bool(message) and block.gradients.dtype != message[0].gradients.dtype
        if is_other or (message and size + block.gradients.numel() > _MESSAGE_SIZE):
            yield message
            message, size = [], 0
        message.append(block)
        size += block.gradients.numel()
    if message:
        yield message
