# SPDX-License-Identifier: Apache-2.0
"""Which row of a stream stands where: a pure function of seed, epoch and the stream's name."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hf_mtl.data.seeds import seed_of

__all__ = ["StreamOrder"]

# Rows that are read at once at least: each read costs a note of where it began.
_LEAST_READ = 64


@dataclass(frozen=True)
class StreamOrder:
    """The order of one stream in one epoch.

    Position g belongs to shard ``order[g % V]``, of whose endless sequence it is row ``g // V``.
    A shard's sequence goes over its rows pass after pass. In a pass rows are shuffled in groups
    of ``shuffle_rows`` neighbours. Neither ranks nor workers occur in it.

    Args:
        source: Name of the source.
        seed: Seed of all randomness here.
        epoch: The epoch.
        num_shards: Virtual shards V of the stream.
        shuffle_rows: Rows of a shard that are shuffled together; 1: rows as they come.

    Example:
        >>> order = StreamOrder("a", seed=0, epoch=0, num_shards=2, shuffle_rows=1)
        >>> sorted(order.place(position) for position in range(4))
        [(0, 0), (0, 1), (1, 0), (1, 1)]
    """

    source: str
    seed: int
    epoch: int
    num_shards: int
    shuffle_rows: int

    @property
    def block_rows(self) -> int:
        """Rows that are read at once: one or several groups."""
        return -(-_LEAST_READ // self.shuffle_rows) * self.shuffle_rows

    def place(self, position: int) -> tuple[int, int]:
        """Shard of a position, and its index in that shard's sequence."""
        index, turn = divmod(position, self.num_shards)
        return self._turns[turn], index

    def in_block(self, shard: int, pass_index: int, block_index: int, num_rows: int) -> list[int]:
        """Offsets of a block's rows in the order in which they come.

        Args:
            shard: The shard.
            pass_index: How often the shard's rows have been through.
            block_index: The block in its pass.
            num_rows: Rows of the block; the last one of a pass may be short.
        """
        if self.shuffle_rows == 1:
            return list(range(num_rows))
        generator = self._generator("rows", shard, pass_index, block_index)
        groups = [
            start + generator.permutation(min(self.shuffle_rows, num_rows - start))
            for start in range(0, num_rows, self.shuffle_rows)
        ]
        offsets: NDArray[np.int64] = np.concatenate(groups)
        return [int(offset) for offset in offsets]

    @cached_property
    def _turns(self) -> list[int]:
        return [int(shard) for shard in self._generator("shards").permutation(self.num_shards)]

    def _generator(self, *use: object) -> np.random.Generator:
        return np.random.default_rng(seed_of(self.seed, self.epoch, self.source, *use))
