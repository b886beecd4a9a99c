# SPDX-License-Identifier: Apache-2.0
"""From the draws of a micro-batch to tensors.

A micro-batch is a plain dictionary::

    {"forwards": [{"inputs": {name: [B, ...]}, "labels": {task: [b, ...]}, "rows": ...}, ...]}

``separate``: one forward a draw; every task of its source has all rows, and ``rows`` is ``None``.
``merged``: one forward for all draws; ``rows[task]`` are the rows ``[b]`` that a task has.
Where a row of a source is several sequences, these are rows of the forward, one after the other,
``rows`` holds them all, and the inputs say beside which of them are one: ``ROW_OF_SEQUENCE``.

A forward of windows has ``"traces"`` as well: for each task on them what they came from, by which
answers are found and judged.

Beside them may stand ``"positions"``: where the blocks of streams begin that this micro-batch is
the first to use, as plain values by source and shard.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor

from hf_mtl.data.collection import SourceRows
from hf_mtl.data.streams import BlockStart, StreamPositions
from hf_mtl.tasks import TaskSuite, TracedLabelKind, batch_of

__all__ = ["Collate", "Forward", "MicroBatch"]


class Forward(TypedDict):
    """What one forward of the model gets."""

    inputs: dict[str, Tensor]
    labels: dict[str, Tensor]
    rows: dict[str, Tensor] | None
    traces: NotRequired[dict[str, list[Any]]]


class MicroBatch(TypedDict):
    """What one rank computes between two points of accumulation."""

    forwards: list[Forward]
    positions: NotRequired[dict[str, dict[str, BlockStart]]]


class Collate:
    """Makes a micro-batch of the rows of some draws, padded to the longest row of each forward.

    Args:
        suite: The tasks.
        processing_class: Tokenizer, image processor, or a processor that holds one.
        merged: Whether all draws share one forward.

    Raises:
        ValueError: If draws of different kinds of input are to be merged.
    """

    def __init__(self, suite: TaskSuite, processing_class: Any, *, merged: bool = False) -> None:
        if merged:
            _check_one_kind(suite)
        self.suite = suite
        self.processing_class = processing_class
        self.merged = merged

    def __call__(self, draws: Sequence[SourceRows]) -> MicroBatch:
        if not draws:
            return {"forwards": []}
        if self.merged:
            batch: MicroBatch = {"forwards": [self._forward(draws, with_rows=True)]}
        else:
            batch = {"forwards": [self._forward([draw], with_rows=False) for draw in draws]}
        positions = StreamPositions.merge(
            {draw.source: draw.positions} for draw in draws if draw.positions
        )
        return {**batch, "positions": positions} if positions else batch

    def _forward(self, draws: Sequence[SourceRows], *, with_rows: bool) -> Forward:
        kind = self.suite[next(iter(draws[0].labels))].task_type.input_kind
        sequences = [self._sequences(draw) for draw in draws]
        inputs = batch_of([*chain.from_iterable(sequences)], kind, self.processing_class)
        side = kind.padding_side(self.processing_class)
        values = _labels_by_task(draws)
        labels, traces = {}, {}
        for task in filter(values.__contains__, self.suite):
            label_kind = self.suite[task].task_type.label_kind
            length = next(iter(inputs.values())).shape[1] if label_kind.per_token else None
            labels[task] = label_kind.collate(values[task], length, side)
            if isinstance(label_kind, TracedLabelKind):
                traces[task] = label_kind.traces(values[task], length, side)
        forward: Forward = {
            "inputs": inputs,
            "labels": labels,
            "rows": self._rows_by_task(draws, sequences, labels) if with_rows else None,
        }
        return {**forward, "traces": traces} if traces else forward

    def _sequences(self, draw: SourceRows) -> list[list[Mapping[str, Any]]]:
        """Sequences of each row of a draw."""
        kind = self.suite[next(iter(draw.labels))].task_type.input_kind
        return [kind.sequences(row) for row in draw.features]

    def _rows_by_task(
        self, draws: Sequence[SourceRows], sequences: Sequence[list[Any]], tasks: Iterable[str]
    ) -> dict[str, Tensor]:
        """Rows of the forward that each task has; tasks of one source share one tensor."""
        rows: dict[str, list[int]] = {}
        start = 0
        for draw, own in zip(draws, sequences, strict=True):
            stop = start + sum(map(len, own))
            rows.setdefault(draw.source, []).extend(range(start, stop))
            start = stop
        tensors = {source: torch.tensor(indices) for source, indices in rows.items()}
        return {task: tensors[self.suite.source_of(task)] for task in tasks}


def _labels_by_task(draws: Sequence[SourceRows]) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    for draw in draws:
        for task, labels in draw.labels.items():
            values.setdefault(task, []).extend(labels)
    return values


def _check_one_kind(suite: TaskSuite) -> None:
    tasks_by_kind: dict[str, list[str]] = {}
    for task, spec in suite.items():
        kind = spec.task_type.input_kind.batched_as or spec.task_type.inputs
        tasks_by_kind.setdefault(kind, []).append(task)
    if len(tasks_by_kind) > 1:
        raise ValueError(
            f"`batches` must be 'separate' for tasks on different kinds of input, which cannot "
            f"share a forward, but got 'merged' for {tasks_by_kind}."
        )
