# SPDX-License-Identifier: Apache-2.0
"""Prepared rows of all sources, read a draw at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset

from hf_mtl.data.columns import label_column_name
from hf_mtl.data.draw import Draw
from hf_mtl.data.samplers import SourceSize
from hf_mtl.tasks import TaskSuite

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
    dataset: Dataset
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


@dataclass(frozen=True)
class SourceRows:
    """Some rows of one source, ready to be collated.

    Args:
        source: Name of the source.
        features: Model inputs of each row, not padded.
        labels: Encoded labels of each row, for each task of the source.
    """

    source: str
    features: list[dict[str, Any]]
    labels: dict[str, list[Any]]


class SourceCollection(TorchDataset[SourceRows]):
    """Prepared rows of every source of a suite; an item is a draw.

    Args:
        suite: The tasks.
        sources: Prepared rows of each source by its name.
        processing_class: Tokenizer, image processor, or a processor that holds one.
    """

    def __init__(
        self, suite: TaskSuite, sources: Mapping[str, PreparedSource], processing_class: Any
    ) -> None:
        self.suite = suite
        self.sources = dict(sources)
        self.processing_class = processing_class

    def __len__(self) -> int:
        return sum(source.num_rows for source in self.sources.values())

    def __getitem__(self, draw: Draw) -> SourceRows:
        source = self.sources[draw.source]
        # One read for the whole draw: a row at a time costs ten times as much.
        columns: dict[str, list[Any]] = source.dataset[list(draw.rows)]
        labels = {task: columns[label_column_name(task)] for task in source.tasks}
        features = self._features(source, columns)
        rows = [
            dict(zip(features, values, strict=True))
            for values in zip(*features.values(), strict=True)
        ]
        return SourceRows(draw.source, rows, labels)

    def sizes(self, *, batch_size: int, num_slots: int = 1) -> dict[str, SourceSize]:
        """Size of every source, as the step plan wants it.

        Args:
            batch_size: Rows of a batch on each device for sources that say nothing else.
            num_slots: Ranks times micro-batches that share one draw.
        """
        return {
            name: SourceSize(source.num_rows, (source.batch_size or batch_size) * num_slots)
            for name, source in self.sources.items()
        }

    def _features(
        self, source: PreparedSource, columns: Mapping[str, list[Any]]
    ) -> dict[str, list[Any]]:
        spec = self.suite[source.tasks[0]]
        kind = spec.task_type.input_kind
        if not kind.on_the_fly:
            return {column: columns[column] for column in source.input_columns}
        raw = {role: columns[column] for role, column in spec.input_columns().items()}
        return kind.encode(raw, self.processing_class, max_length=spec.max_length)
