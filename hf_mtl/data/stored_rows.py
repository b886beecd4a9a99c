# SPDX-License-Identifier: Apache-2.0
"""Rows of many sources in a few Arrow files, which are read where they lie.

A file holds the rows of all sources that have columns of the same kinds, one source behind the
other, in record batches. Opening a source reads its place from an index and nothing else; the file
is mapped into memory at the first row that is asked for, and only the pages of that row are read.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features
from datasets.table import InMemoryTable

__all__ = ["RowsFile", "RowsWriter", "StoredRows", "numbered_columns"]

_ROWS_PER_BATCH = 1000


def numbered_columns(features: Features) -> Features:
    """The columns in their order, called by their numbers.

    Example:
        >>> from datasets import Value
        >>> numbered_columns(Features(text=Value("string"), label=Value("int64")))
        {'0': Value('string'), '1': Value('int64')}
    """
    return Features({str(index): kind for index, kind in enumerate(features.values())})


class RowsFile:
    """Arrow file of the rows of many sources.

    Args:
        path: The file.
        features: Its columns, which are called by their numbers: names differ between sources.
    """

    def __init__(self, path: Path, features: Features) -> None:
        self.path = path
        self.features = features

    def __getstate__(self) -> dict[str, Any]:
        # Another process maps the file by itself.
        return {"path": self.path, "features": self.features}

    def table(self, first_batch: int, num_batches: int) -> pa.Table:
        """Some record batches; no row is read yet.

        Args:
            first_batch: The first of them.
            num_batches: How many there are.
        """
        batches = (self._reader.get_batch(first_batch + i) for i in range(num_batches))
        return pa.Table.from_batches(batches)

    @cached_property
    def _reader(self) -> pa.RecordBatchFileReader:
        return pa.ipc.open_file(pa.memory_map(str(self.path)))


class RowsWriter:
    """Writes the rows of one source after the other into one file.

    Args:
        path: The file.
        features: Its columns, as ``numbered_columns`` gives them.
    """

    def __init__(self, path: Path, features: Features) -> None:
        self.path = path
        self.features = features
        self._schema = pa.schema(features.type)
        self._writer = pa.ipc.new_file(str(path), self._schema)
        self._num_batches = 0

    def add(self, dataset: Dataset) -> tuple[int, int]:
        """Writes rows; returns their first record batch and the number of batches."""
        first = self._num_batches
        for table in dataset.with_format("arrow").iter(batch_size=_ROWS_PER_BATCH):
            plain = pa.Table.from_arrays(table.columns, schema=self._schema)
            # In one piece, so that every slice of rows is one record batch.
            self._writer.write_table(plain.combine_chunks())
            self._num_batches += 1
        return first, self._num_batches - first

    def close(self) -> None:
        """Writes the end of the file, without which it cannot be read."""
        self._writer.close()


class StoredRows:
    """Rows of one source in such a file; stands in for a ``Dataset`` where rows are read.

    Args:
        file: The file.
        first_batch: Its first record batch.
        num_batches: How many it has.
        num_rows: Rows in them.
        column_names: Names of its columns.
    """

    def __init__(
        self,
        file: RowsFile,
        *,
        first_batch: int,
        num_batches: int,
        num_rows: int,
        column_names: Sequence[str],
    ) -> None:
        self.file = file
        self.first_batch = first_batch
        self.num_batches = num_batches
        self.num_rows = num_rows
        self.column_names = list(column_names)

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, key: Any) -> Any:
        return self.dataset[key]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "dataset"}

    def select_columns(self, column_names: Sequence[str]) -> Dataset:
        """The rows with some of their columns."""
        return self.dataset.select_columns(column_names)

    def arrow_column(self, column: str) -> pa.ChunkedArray:
        """One column as Arrow has it."""
        return self._table.column(self.column_names.index(column))

    @cached_property
    def dataset(self) -> Dataset:
        """The rows as a data set."""
        kinds = self.file.features.values()
        return Dataset(
            InMemoryTable(self._table.rename_columns(self.column_names)),
            info=DatasetInfo(features=Features(zip(self.column_names, kinds, strict=True))),
            # Given, because it would be computed from the rows otherwise.
            fingerprint=f"{self.file.path.stem}-{self.first_batch}",
        )

    @property
    def _table(self) -> pa.Table:
        return self.file.table(self.first_batch, self.num_batches)
