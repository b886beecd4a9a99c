# SPDX-License-Identifier: Apache-2.0
"""Rows of a stream before they are encoded, by virtual shard."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasets import Features, IterableDataset

from hf_mtl.data.streams.pipeline import files_of

__all__ = ["MAX_SHARDS", "RawStream", "first_row"]

MAX_SHARDS = 64
"""Most virtual shards of a stream; each holds a block of rows in memory where it is read."""


def first_row(dataset: IterableDataset) -> dict[str, Any] | None:
    """First row of a stream, its pictures left encoded; ``None`` if it has none."""
    batch = next(iter(_undecoded(dataset).iter(batch_size=1)), None)
    return None if batch is None else {column: values[0] for column, values in batch.items()}


class RawStream:
    """An ``IterableDataset``, cut into virtual shards that depend on nothing but itself.

    Args:
        source: Name of the source, for messages.
        dataset: The stream.
        columns: Columns that are needed; others are not kept.
    """

    def __init__(self, source: str, dataset: IterableDataset, columns: Sequence[str]) -> None:
        self.source = source
        self.columns = list(columns)
        self._features = dataset.features
        dataset = _undecoded(dataset)
        # Without features a column may be missing from some rows, which selecting it refuses.
        if self._features is not None:
            dataset = dataset.select_columns(self.columns)
        self._dataset = dataset

    @property
    def num_shards(self) -> int:
        """Virtual shards."""
        return min(int(self._dataset.num_shards), MAX_SHARDS)

    def open(self, shard: int, state: Mapping[str, Any] | None = None) -> IterableDataset:
        """Rows of one shard, from its first one or from a state of it.

        Args:
            shard: The shard.
            state: What ``IterableDataset.state_dict`` gave.
        """
        rows = self._dataset.shard(num_shards=self.num_shards, index=shard)
        if state is not None:
            rows.load_state_dict(dict(state))
        return rows

    def needed(self, batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """The columns that are needed; one that no row of the batch has is missing in all.

        Args:
            batch: Some rows by column.
        """
        missing = [None] * len(next(iter(batch.values())))
        return {column: batch.get(column, missing) for column in self.columns}

    def first_rows(self, count: int) -> dict[str, list[Any]]:
        """The first rows of all shards together, by column.

        Args:
            count: How many; fewer if there are not as many.
        """
        batches: Iterator[dict[str, list[Any]]] = iter(self._dataset.iter(batch_size=count))
        return self.needed(next(batches))

    def decoded(self, columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """Some rows with their pictures as PIL, where the stream's features say that it has any."""
        if self._features is None:
            return dict(columns)
        features = Features({column: self._features[column] for column in columns})
        decoded: dict[str, list[Any]] = features.decode_batch(dict(columns))
        return decoded

    def described(self, shard: int) -> str:
        """A shard in words, with its files where they are known."""
        files = files_of(self.open(shard))
        shown = ", ".join(map(repr, files[:2])) + (", ..." if len(files) > 2 else "")
        where = f" ({shown})" if files else ""
        return f"shard {shard} of {self.num_shards}{where} of source {self.source!r}"


def _undecoded(dataset: IterableDataset) -> IterableDataset:
    """The stream with plain values: pictures are decoded only where a row is used."""
    plain = dataset.with_format(None)
    return plain if dataset.features is None else plain.decode(False)
