# SPDX-License-Identifier: Apache-2.0
"""Prepared rows of all sources, read a draw at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset

from hf_mtl.data.columns import label_column_name, role_values
from hf_mtl.data.draw import Draw
from hf_mtl.data.samplers import SourceSize, TaskSampler
from hf_mtl.data.seeds import seed_of
from hf_mtl.data.stored_rows import StoredRows
from hf_mtl.data.streams import BlockStart, StreamPositions, StreamSource
from hf_mtl.data.streams.checks import check_unknown_lengths
from hf_mtl.data.token_batches import TokenBatches
from hf_mtl.tasks import IGNORE_INDEX, DrawnInput, TaskSuite

__all__ = ["PreparedSource", "SourceCollection", "SourceRows"]


@dataclass(frozen=True)
class PreparedSource:
    """One source with its labels encoded, and its inputs too unless they are encoded when read.

    Args:
        name: Name of the source.
        tasks: Tasks on it.
        dataset: Rows with the model's inputs (or the columns they come from) and, for each task,
            its labels in the column ``labels:{task}``.
        batch_size: Rows of a batch on each device, where the tasks say so.
    """

    name: str
    tasks: tuple[str, ...]
    dataset: Dataset | StoredRows
    batch_size: int | None = None

    @property
    def num_rows(self) -> int:
        """Rows of the source."""
        return int(self.dataset.num_rows)

    @property
    def input_columns(self) -> list[str]:
        """Columns that are not labels."""
        labels = {label_column_name(task) for task in self.tasks}
        return [column for column in self.dataset.column_names if column not in labels]

    def read(self, draw: Draw) -> tuple[dict[str, list[Any]], dict[str, BlockStart]]:
        """Rows of a draw by column, and where streams stand, which this is none of.

        Args:
            draw: Indices of rows.
        """
        # One read for the whole draw: a row at a time costs ten times as much.
        columns: dict[str, list[Any]] = self.dataset[list(draw.rows)]
        return columns, {}


@dataclass(frozen=True)
class SourceRows:
    """Some rows of one source, ready to be collated.

    Args:
        source: Name of the source.
        features: Model inputs of each row, not padded.
        labels: Encoded labels of each row, for each task of the source.
        positions: Where the blocks of a stream begin that these rows are the first to use, by
            shard.
    """

    source: str
    features: list[dict[str, Any]]
    labels: dict[str, list[Any]]
    positions: dict[str, BlockStart] = field(default_factory=dict)


class SourceCollection(TorchDataset[SourceRows]):
    """Prepared rows of every source of a suite; an item is a draw.

    Args:
        suite: The tasks.
        sources: Prepared rows, or the stream, of each source by its name.
        processing_class: Tokenizer, image processor, or a processor that holds one.
    """

    def __init__(
        self,
        suite: TaskSuite,
        sources: Mapping[str, PreparedSource | StreamSource],
        processing_class: Any,
    ) -> None:
        self.suite = suite
        self.sources = dict(sources)
        self.processing_class = processing_class

    def __len__(self) -> int:
        return sum(self._num_rows(name) for name in self.sources)

    def __getitem__(self, draw: Draw) -> SourceRows:
        source = self.sources[draw.source]
        columns, positions = source.read(draw)
        rows = self._drawn(self._source_rows(source, columns), draw)
        if not draw.is_filler:
            return replace(rows, positions=positions)
        labels = {
            task: self.suite[task].task_type.label_kind.missing(values)
            for task, values in rows.labels.items()
        }
        return replace(rows, labels=labels, positions=positions)

    def first_rows(self, name: str, count: int) -> SourceRows:
        """The first rows of a source, or fewer if it has not as many.

        Args:
            name: Name of the source.
            count: How many.
        """
        source = self.sources[name]
        if isinstance(source, StreamSource):
            rows = self._source_rows(source, source.first_rows(count))
            return self._drawn(rows, Draw(name, tuple(range(len(rows.features)))))
        return self[Draw(name, tuple(range(min(count, source.num_rows))))]

    @property
    def has_streams(self) -> bool:
        """Whether some source is a stream."""
        return any(isinstance(source, StreamSource) for source in self.sources.values())

    @property
    def known_rows(self) -> dict[str, int]:
        """Rows of every source that says how many it has."""
        return {
            name: source.num_rows
            for name, source in self.sources.items()
            if source.num_rows is not None
        }

    def labels(self, task: str) -> Sequence[Any] | None:
        """Encoded labels of all rows for a task; ``None`` where they are streamed.

        Args:
            task: Name of the task.
        """
        source = self.sources[self.suite.source_of(task)]
        if isinstance(source, StreamSource):
            return None
        labels: Sequence[Any] = source.dataset[label_column_name(task)][:]
        return labels

    def start_streams(
        self,
        *,
        seed: int,
        shuffle_rows: int = 1000,
        positions: StreamPositions | None = None,
    ) -> None:
        """Says how streams are read from here on; to be called before a data loader is made.

        Args:
            seed: Seed of their order.
            shuffle_rows: Rows of a virtual shard that are shuffled together; 1: as they come.
            positions: Where a run that is resumed stood; ``None``: at the start of an epoch.

        Raises:
            TypeError: If ``shuffle_rows`` is no whole number.
            ValueError: If it is not positive, or a position is that of another stream.
        """
        known = positions or StreamPositions()
        for name, source in self.sources.items():
            if isinstance(source, StreamSource):
                source.start(seed=seed, shuffle_rows=shuffle_rows, positions=known.of(name))

    def sizes(
        self,
        *,
        batch_size: int,
        num_slots: int = 1,
        max_steps: int = -1,
        draws_per_step: int = 1,
        sampler: TaskSampler | None = None,
        token_batches: Mapping[str, TokenBatches] | None = None,
    ) -> dict[str, SourceSize]:
        """Size of every source, as the step plan wants it.

        A stream of unknown length counts as so long that an epoch lasts for the whole run.

        Args:
            batch_size: Rows of a batch on each device for sources that say nothing else.
            num_slots: Ranks times micro-batches that share one draw.
            max_steps: Steps of the run, which streams of unknown length need; below 1: not given.
            draws_per_step: Most draws of one source in a step.
            sampler: What chooses between the sources; ``None``: nothing does.
            token_batches: How sources that draw by tokens are cut into draws; others count rows.

        Raises:
            ValueError: If a stream of unknown length is there without ``max_steps``, or beside
                other sources with a sampler that goes by their sizes.
        """
        rows_of_draw = {
            name: (source.batch_size or batch_size) * num_slots
            for name, source in self.sources.items()
        }
        by_tokens = token_batches or {}
        rows_of_draw |= {name: int(each.rows.max()) for name, each in by_tokens.items()}
        if unknown := [name for name, source in self.sources.items() if source.num_rows is None]:
            check_unknown_lengths(unknown, max_steps, sampler if len(self.sources) > 1 else None)
        # As many draws as the run has, whatever the batches of the other sources.
        longest = max_steps * draws_per_step * max(rows_of_draw.values())
        return {
            name: SourceSize(
                source.num_rows or -(-longest // rows_of_draw[name]) * rows_of_draw[name],
                rows_of_draw[name],
                is_stream=isinstance(source, StreamSource),
                is_nominal=source.num_rows is None,
                token_batches=by_tokens.get(name),
            )
            for name, source in self.sources.items()
        }

    def _num_rows(self, name: str) -> int:
        num_rows = self.sources[name].num_rows
        if num_rows is None:
            # What `len` of an object without a length raises.
            raise TypeError(f"Source {name!r} is a stream of unknown length.")
        return num_rows

    def _drawn(self, rows: SourceRows, draw: Draw) -> SourceRows:
        """The rows as their kind of input makes them for this draw, with the labels of that."""
        kind = self.suite[next(iter(rows.labels))].task_type.input_kind
        if not isinstance(kind, DrawnInput):
            return rows
        chances = [
            np.random.default_rng(seed_of(draw.seed, draw.epoch, draw.source, row))
            for row in draw.rows
        ]
        seen = [
            kind.drawn(features, chance, self.processing_class)
            for features, chance in zip(rows.features, chances, strict=True)
        ]
        labels = {
            task: [
                value if value == IGNORE_INDEX else own
                for value, (_, own) in zip(values, seen, strict=True)
            ]
            for task, values in rows.labels.items()
        }
        return replace(rows, features=[features for features, _ in seen], labels=labels)

    def _source_rows(
        self, source: PreparedSource | StreamSource, columns: Mapping[str, list[Any]]
    ) -> SourceRows:
        labels = {task: columns[label_column_name(task)] for task in source.tasks}
        features = self._features(source, columns)
        rows = [
            dict(zip(features, values, strict=True))
            for values in zip(*features.values(), strict=True)
        ]
        return SourceRows(source.name, rows, labels)

    def _features(
        self, source: PreparedSource | StreamSource, columns: Mapping[str, list[Any]]
    ) -> dict[str, list[Any]]:
        spec = self.suite[source.tasks[0]]
        kind = spec.task_type.input_kind
        if not kind.on_the_fly:
            labels = {label_column_name(task) for task in source.tasks}
            return {column: values for column, values in columns.items() if column not in labels}
        raw = {role: role_values(columns, given) for role, given in spec.input_columns().items()}
        return kind.encode(raw, self.processing_class, max_length=spec.max_length)
