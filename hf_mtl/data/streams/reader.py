# SPDX-License-Identifier: Apache-2.0
"""One virtual shard of a stream, read forward block by block."""

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from datasets import IterableDataset
from transformers.utils import logging

from hf_mtl._checks import message_of
from hf_mtl.data.streams.order import StreamOrder
from hf_mtl.data.streams.raw import RawStream

__all__ = ["BlockStart", "ShardReader", "StreamRow"]

logger = logging.get_logger(__name__)


class BlockStart(TypedDict):
    """Where a block begins, in plain values: all that is needed to read on from there.

    Attributes:
        epoch: The epoch; the order of another one is another.
        start: Index of the block's first row in the shard's sequence.
        pass_index: How often the shard's rows have been through.
        block_index: The block in its pass.
        read_from: The shard that the rows come from, another one if the shard itself has none.
        state: What ``IterableDataset.state_dict`` gave; ``None``: the first row of the shard.
        num_shards: Virtual shards of the stream.
        shuffle_rows: Rows that are shuffled together.
    """

    epoch: int
    start: int
    pass_index: int
    block_index: int
    read_from: int
    state: dict[str, Any] | None
    num_shards: int
    shuffle_rows: int


@dataclass(frozen=True)
class StreamRow:
    """One row as it was read.

    Args:
        values: Its values by column.
        shard: The shard that it was read from.
        number: Its number in that shard, counted from 0.
    """

    values: dict[str, Any]
    shard: int
    number: int


@dataclass(frozen=True)
class _Block:
    start: BlockStart
    columns: dict[str, list[Any]]
    offsets: list[int]

    @property
    def stop(self) -> int:
        return self.start["start"] + len(self.offsets)


class ShardReader:
    """The endless sequence of one virtual shard, of which one block at a time is in memory.

    The rows are read pass after pass, so nobody has to know how many there are. A shard without
    any row is stood in for by the next one that has some, in a shuffle of its own.

    Args:
        stream: The stream.
        order: Its order in this epoch.
        shard: The shard.
        start: Where to begin; ``None``: at the first row.
    """

    def __init__(
        self,
        stream: RawStream,
        order: StreamOrder,
        shard: int,
        start: BlockStart | None = None,
    ) -> None:
        self._stream = stream
        self._order = order
        self._shard = shard
        self._read_from = shard if start is None else start["read_from"]
        self._pass_index = 0 if start is None else start["pass_index"]
        self._block_index = 0 if start is None else start["block_index"]
        self._state: dict[str, Any] | None
        self._close: Callable[[], Any] = lambda: None
        self._open(None if start is None else start["state"])
        self._block = self._next_block(0 if start is None else start["start"])

    @property
    def block_start(self) -> BlockStart:
        """Where the block in memory begins."""
        return self._block.start

    @property
    def start(self) -> int:
        """Index of the first row that can still be given."""
        return self._block.start["start"]

    def row(self, index: int) -> StreamRow:
        """Row of the sequence, not before the block in memory.

        Args:
            index: Its index in the sequence.

        Raises:
            ValueError: If a row on the way cannot be read.
        """
        while index >= self._block.stop:
            self._block_index += 1
            self._block = self._next_block(self._block.stop)
        block = self._block
        offset = block.offsets[index - block.start["start"]]
        return StreamRow(
            {column: values[offset] for column, values in block.columns.items()},
            block.start["read_from"],
            block.start["block_index"] * self._order.block_rows + offset,
        )

    def _next_block(self, start: int) -> _Block:
        state = self._state
        columns = self._read()
        while columns is None:
            self._begin_pass()
            state, columns = None, self._read()
        if self._read_from != self._shard:
            logger.warning_once(
                f"There is no row in {self._stream.described(self._shard)}: those of shard "
                f"{self._read_from} come in its turns as well."
            )
        num_rows = len(next(iter(columns.values())))
        began = BlockStart(
            epoch=self._order.epoch,
            start=start,
            pass_index=self._pass_index,
            block_index=self._block_index,
            read_from=self._read_from,
            state=state,
            num_shards=self._order.num_shards,
            shuffle_rows=self._order.shuffle_rows,
        )
        self._state = self._rows.state_dict()
        offsets = self._order.in_block(self._shard, self._pass_index, self._block_index, num_rows)
        return _Block(began, columns, offsets)

    def _begin_pass(self) -> None:
        """Begins the rows anew; those of the next shard if there was none at all."""
        if self._block_index > 0 or self._state is not None:
            self._pass_index += 1
        else:
            self._read_from = (self._read_from + 1) % self._stream.num_shards
            if self._read_from == self._shard:
                raise ValueError(
                    f"`train_dataset` of source {self._stream.source!r} must have at least one "
                    f"row, but none of its {self._stream.num_shards} shards has any."
                )
        self._block_index = 0
        self._open(None)

    def _open(self, state: Mapping[str, Any] | None) -> None:
        self._rows: IterableDataset = self._stream.open(self._read_from, state)
        self._state = None if state is None else dict(state)
        # Not `iter(self._rows)`, which leaves rows out in a worker process of a data loader.
        self._batches: Iterator[dict[str, list[Any]]] = self._rows.iter(
            batch_size=self._order.block_rows
        )
        # Before the interpreter ends: later, readers of some formats can no longer be closed.
        self._close()
        self._close = weakref.finalize(self, self._batches.close)

    def _read(self) -> dict[str, list[Any]] | None:
        """The next rows by column; ``None`` at the end of the pass."""
        try:
            batch = next(self._batches, None)
        except Exception as error:  # whatever the format's reader raises
            first = self._block_index * self._order.block_rows
            raise ValueError(
                f"The data of {self._stream.described(self._read_from)} cannot be read, in the "
                f"block of rows that begins with row {first}, counted from 0 (numbers that follow "
                f"are the file reader's own): {message_of(error)}. Correct the data, or leave "
                f"these rows out."
            ) from error
        return None if batch is None else self._stream.needed(batch)
