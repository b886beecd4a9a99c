# SPDX-License-Identifier: Apache-2.0
"""A streamed source: rows are read, shuffled and encoded when they are drawn."""

import os
from collections.abc import Mapping
from typing import Any

from datasets import IterableDataset

from hf_mtl._checks import message_of
from hf_mtl._numbers import check_positive
from hf_mtl.data.draw import Draw
from hf_mtl.data.encoding import RowEncoding, encode_labels, encode_rows
from hf_mtl.data.streams.order import StreamOrder
from hf_mtl.data.streams.raw import RawStream
from hf_mtl.data.streams.reader import BlockStart, ShardReader, StreamRow

__all__ = ["StreamSource"]

# Blocks of a shard whose starts are remembered: more than the draws of a step lie in.
_STARTS_KEPT = 16


class StreamSource:
    """One source that is read from an ``IterableDataset``; its rows are positions in its order.

    Every process that reads, a rank or a worker of its data loader, has readers of its own, of
    the shards that its positions lie in. What they know of is the draw alone, so the order is the
    same whoever reads.

    Args:
        name: Name of the source.
        tasks: Tasks on it.
        dataset: The stream.
        encoding: What its rows become.
        processing_class: Tokenizer, image processor, or a processor that holds one.
        batch_size: Rows of a batch on each device, where the tasks say so.
        num_rows: Rows of the stream; ``None``: not known.
    """

    def __init__(
        self,
        name: str,
        tasks: tuple[str, ...],
        dataset: IterableDataset,
        *,
        encoding: RowEncoding,
        processing_class: Any,
        batch_size: int | None = None,
        num_rows: int | None = None,
    ) -> None:
        self.name = name
        self.tasks = tasks
        self.batch_size = batch_size
        self.num_rows = num_rows
        self.max_positions: int | None = None
        self._encoding = encoding
        self._processing_class = processing_class
        raw = dict.fromkeys([*encoding.raw_inputs, *encoding.raw_labels])
        self._raw = RawStream(name, dataset, list(raw))
        self._readers: dict[int, ShardReader] = {}
        self._noted: dict[int, int] = {}
        self._begun: dict[str, BlockStart] = {}
        self._passed: dict[int, dict[int, BlockStart]] = {}
        self._process: int | None = None
        self.start(seed=0, shuffle_rows=1)

    def start(
        self,
        *,
        seed: int,
        shuffle_rows: int,
        positions: Mapping[str, BlockStart] | None = None,
    ) -> None:
        """Says how the stream is read from here on; what was read so far is forgotten.

        Args:
            seed: Seed of the order.
            shuffle_rows: Rows of a virtual shard that are shuffled together; 1: as they come.
            positions: Where to go on, by shard; of another epoch they are not used.

        Raises:
            TypeError: If ``shuffle_rows`` is no whole number.
            ValueError: If it is not positive, or the positions are those of another stream.
        """
        check_positive("stream_shuffle_rows", shuffle_rows, whole=True)
        self._seed = seed
        self._shuffle_rows = int(shuffle_rows)
        self._positions = {int(shard): start for shard, start in (positions or {}).items()}
        for start in self._positions.values():
            self._check_fits(start)
        self._forget(epoch=0)

    def read(self, draw: Draw) -> tuple[dict[str, list[Any]], dict[str, BlockStart]]:
        """Encoded rows of a draw by column, and where the blocks begin that it is the first to use.

        Args:
            draw: Positions in the order of its epoch. A filler takes any row.

        Raises:
            ValueError: If a row cannot be read or used.
        """
        if draw.epoch != self._order.epoch or os.getpid() != self._process:
            # Readers are no use to a forked process either, which shares their open files.
            self._forget(draw.epoch)
        if draw.is_filler:
            rows = [self._row_at_hand(draw.rows[0])] * len(draw.rows)
        else:
            by_position = {position: self._row(position) for position in sorted(draw.rows)}
            rows = [by_position[position] for position in draw.rows]
        columns = self._encoded(rows)
        begun, self._begun = self._begun, {}
        return columns, begun

    def first_rows(self, count: int) -> dict[str, list[Any]]:
        """The first rows of the stream, encoded, by column.

        Args:
            count: How many; fewer if there are not as many.
        """
        columns = self._raw.first_rows(count)
        rows = (
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        )
        return self._encoded([StreamRow(row, 0, number) for number, row in enumerate(rows)])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_readers": {}, "_begun": {}, "_passed": {}, "_process": None}

    def _forget(self, epoch: int) -> None:
        self._process = os.getpid()
        self._order = StreamOrder(
            self.name, self._seed, epoch, self._raw.num_shards, self._shuffle_rows
        )
        self._readers, self._noted, self._begun, self._passed = {}, {}, {}, {}

    def _row(self, position: int) -> StreamRow:
        shard, index = self._order.place(position)
        reader = self._readers.get(shard)
        if reader is None or index < reader.start:
            reader = self._readers[shard] = self._reader(shard, index)
        row = reader.row(index)
        if self._noted.get(shard) != reader.start:
            self._noted[shard] = reader.start
            self._begun[str(shard)] = reader.block_start
            self._remember(shard, reader.block_start)
        return row

    def _remember(self, shard: int, start: BlockStart) -> None:
        # With accumulation and several draws a step, positions go back inside the step.
        passed = self._passed.setdefault(shard, {})
        passed[start["start"]] = start
        if len(passed) > _STARTS_KEPT:
            del passed[min(passed)]

    def _reader(self, shard: int, index: int) -> ShardReader:
        """A reader that has yet to come to an index of a shard's sequence, by little if it can."""
        starts = [*self._passed.get(shard, {}).values()]
        saved = self._positions.get(shard)
        if saved is not None and saved["epoch"] == self._order.epoch:
            starts.append(saved)
        before = [start for start in starts if start["start"] <= index]
        nearest = max(before, key=lambda start: start["start"], default=None)
        return ShardReader(self._raw, self._order, shard, nearest)

    def _row_at_hand(self, position: int) -> StreamRow:
        for reader in self._readers.values():
            return reader.row(reader.start)
        shard, _ = self._order.place(position)
        saved = self._positions.get(shard)
        reader = self._reader(shard, 0 if saved is None else saved["start"])
        self._readers[shard] = reader
        return reader.row(reader.start)

    def _encoded(self, rows: list[StreamRow]) -> dict[str, list[Any]]:
        try:
            return self._encode(rows)
        except (ValueError, TypeError, LookupError, OSError):
            for row in rows:
                try:
                    self._encode([row])
                except (ValueError, TypeError, LookupError, OSError) as error:
                    raise ValueError(
                        f"Row {row.number} of {self._raw.described(row.shard)}, counted from 0, "
                        f"cannot be used. Of this row alone, as row 0: {message_of(error)}"
                    ) from error
            raise

    def _encode(self, rows: list[StreamRow]) -> dict[str, list[Any]]:
        encoding = self._encoding
        columns = {column: [row.values[column] for row in rows] for column in self._raw.columns}
        if encoding.kind.on_the_fly:
            inputs = {column: columns[column] for column in encoding.raw_inputs}
            return self._raw.decoded(inputs) | encode_labels(columns, [0], encoding=encoding)
        encoded = encode_rows(
            self._raw.decoded(columns),
            [0],
            encoding=encoding,
            processing_class=self._processing_class,
        )
        self._check_length(encoded)
        return encoded

    def _check_length(self, columns: Mapping[str, list[Any]]) -> None:
        first, values = next(iter(columns.items()))
        sequences = self._encoding.kind.sequences
        longest = max(len(each[first]) for value in values for each in sequences({first: value}))
        if self.max_positions is not None and longest > self.max_positions:
            tasks = ", ".join(map(repr, self.tasks))
            raise ValueError(
                f"Rows must have at most {self.max_positions} tokens, which is what the backbone "
                f"has positions for, but this one has {longest}. Give `max_length` (at most "
                f"{self.max_positions}) to its tasks: {tasks}."
            )

    def _check_fits(self, start: BlockStart) -> None:
        now = {"num_shards": self._raw.num_shards, "shuffle_rows": self._shuffle_rows}
        names = {"num_shards": "number of shards", "shuffle_rows": "`stream_shuffle_rows`"}
        for key, value in now.items():
            if start[key] != value:  # type: ignore[literal-required]
                raise ValueError(
                    f"The {names[key]} of source {self.name!r} must be as in the checkpoint, "
                    f"{start[key]}, but got {value}. Resume with the same data and settings, or "  # type: ignore[literal-required]
                    f"start a new run."
                )
