# SPDX-License-Identifier: Apache-2.0
"""What the ranks of a run tell each other: counts, flags and plain objects, on the host.

A group of its own, on gloo: numbers that are already on the host need not travel through the
device, where they would wait for whatever it is computing.
"""

import functools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["Ranks"]


class Ranks:
    """The ranks of a run. With one rank nothing is sent.

    Every method must be called by all ranks, in the same order.

    Args:
        world_size: Number of ranks.
        rank: This rank.
        timeout_seconds: How long a rank waits for the others.
    """

    def __init__(
        self, world_size: int = 1, rank: int = 0, *, timeout_seconds: float = 1800
    ) -> None:
        self.world_size = world_size
        self.rank = rank
        self._group: Any = None
        if world_size > 1:  # made by all ranks together
            self._group = _host_group(dist.group.WORLD, timeout_seconds)

    def sum(self, counts: Sequence[float]) -> list[float]:
        """Each count added up over the ranks, in float64: exact for whole numbers below 2^53."""
        if self.world_size == 1:
            return list(counts)
        total = torch.tensor(counts, dtype=torch.float64)
        dist.all_reduce(total, group=self._group)
        return list(total.tolist())

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any rank."""
        return self.sum([float(flag)])[0] > 0

    def gather(self, value: Any) -> list[Any]:
        """The value of every rank, in the order of the ranks."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value, group=self._group)
        return values

    def copy_from_first(self, tensor: Tensor) -> None:
        """Overwrites a tensor with what the first rank has in it."""
        if self.world_size == 1:
            return
        values = tensor.detach().cpu()
        dist.broadcast(values, src=0, group=self._group)
        tensor.copy_(values)


@functools.cache
def _host_group(world: Any, timeout_seconds: float) -> Any:
    del world  # another one has other groups
    return dist.new_group(backend="gloo", timeout=timedelta(seconds=timeout_seconds))
