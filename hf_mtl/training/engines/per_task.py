# SPDX-License-Identifier: Apache-2.0
"""Engines with a backward for each task: whatever the model and its layers are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor

from hf_mtl.training.engines.base import BufferedEngine
from hf_mtl.training.engines.row_groups import tasks_by_rows
from hf_mtl.training.step import Step

__all__ = ["RetainedEngine", "StreamingEngine"]


class PerTaskEngine(BufferedEngine):
    """One backward for each loss of a forward; its graph lives until the last."""

    def add(self, losses: Mapping[str, Tensor]) -> None:
        left = len(losses)
        for task, loss in losses.items():
            left -= 1
            torch.autograd.backward(loss, retain_graph=left > 0)
            row = self._row_by_task[task]
            for parameter in self._gradients.parameters:
                if parameter.grad is not None:
                    self._gradients.add(parameter, row, parameter.grad)
                    parameter.grad = None


@final
class RetainedEngine(PerTaskEngine):
    """Forwards as they are: ``T`` backwards through the rows of all tasks where these are merged.

    For several tasks on the same rows.
    """

    @classmethod
    def passes(cls, tasks_of_draws: Sequence[int], *, is_merged: bool) -> tuple[int, int]:
        return 1 if is_merged else len(tasks_of_draws), sum(tasks_of_draws)


@final
class StreamingEngine(PerTaskEngine):
    """A forward for each source: the work of separate batches, with one graph alive at a time."""

    @classmethod
    def passes(cls, tasks_of_draws: Sequence[int], *, is_merged: bool) -> tuple[int, int]:
        return len(tasks_of_draws), sum(tasks_of_draws)

    def prepared(self, step: Step) -> Step:
        forwards = [part for forward in step.forwards for part in _by_source(forward)]
        return replace(step, forwards=forwards)


def _by_source(forward: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Forwards of the sources whose rows a merged one has; one that is not merged, as it is."""
    if forward["rows"] is None:
        yield forward
        return
    num_rows = len(next(iter(forward["inputs"].values())))
    for rows, tasks in tasks_by_rows(forward):
        inputs = {
            name: value[rows] if len(value) == num_rows else value
            for name, value in forward["inputs"].items()
        }
        labels = {task: forward["labels"][task] for task in tasks}
        yield {**forward, "inputs": inputs, "labels": labels, "rows": None}
