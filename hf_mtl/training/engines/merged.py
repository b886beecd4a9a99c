# SPDX-License-Identifier: Apache-2.0
"""Engines that get the gradients of all tasks out of one backward through a merged batch.

Each row has the tasks of its source, mostly one. A backward can be of one task for each row, so
there are as many as the source with most tasks has.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from hf_mtl.training.engines.base import BufferedEngine, Engine, Solve
from hf_mtl.training.engines.block import gramian_of
from hf_mtl.training.engines.grouped import Grouping, RowGroups, grouped
from hf_mtl.training.engines.grouped.sink import Slice
from hf_mtl.training.engines.row_groups import num_rows, row_segments, tasks_by_rows
from hf_mtl.training.engines.task_gradients import TaskGradients

__all__ = ["GroupedEngine", "GroupedTwiceEngine"]


class MergedPass:
    """One forward in which each layer forms its weight gradient by task.

    Args:
        forward: The forward, on the host.
        row_by_task: Where gradients of each task of the step go.
    """

    def __init__(self, forward: Mapping[str, Any], row_by_task: Mapping[str, int]) -> None:
        groups = tasks_by_rows(forward)
        num = num_rows(forward)
        self._turns = list(zip_longest(*(own for _, own in groups)))
        self._row_by_task = row_by_task
        segments = row_segments([rows for rows, _ in groups], num)
        self.groups = RowGroups(num, segments, [None] * (len(groups) + 1))

    def backward(
        self, losses: Mapping[str, Tensor], grouping: Grouping, *, keeps_graph: bool = False
    ) -> None:
        """Gradients of all losses: those of shared parameters by task, those of heads in place.

        Args:
            losses: The losses of the forward.
            grouping: What surrounded it.
            keeps_graph: Whether there will be one more backward.
        """
        for number, turn in enumerate(self._turns, start=1):
            present = [task for task in turn if task is not None]
            self.groups.tasks = [
                *(None if task is None else self._row_by_task[task] for task in turn),
                None,
            ]
            total = torch.stack([losses[task] for task in present]).sum()
            total.backward(retain_graph=keeps_graph or number < len(self._turns))
            grouping.after_backward()


@final
class GroupedEngine(BufferedEngine):
    """One forward and one backward for all tasks that are on different rows."""

    splits_layers: ClassVar[bool] = True
    requirement: ClassVar[str] = "whole parameters on every rank, and gradients not exchanged yet"

    @classmethod
    def passes(cls, tasks_of_draws: Sequence[int], *, is_merged: bool) -> tuple[int, int]:
        return (1, max(tasks_of_draws)) if is_merged else (len(tasks_of_draws), sum(tasks_of_draws))

    @contextmanager
    def step(self, parameters: Mapping[str, nn.Parameter], tasks: Sequence[str]) -> Iterator[None]:
        self._parameters = parameters
        with super().step(parameters, tasks):
            yield

    @contextmanager
    def around(self, forward: Mapping[str, Any]) -> Iterator[None]:
        with super().around(forward):
            self._pass = MergedPass(forward, self._row_by_task)
            with grouped(
                self._model.backbone, self._parameters, self._pass.groups, self._gradients
            ) as self._grouping:
                yield

    def add(self, losses: Mapping[str, Tensor]) -> None:
        self._pass.backward(losses, self._grouping)


@final
class GroupedTwiceEngine(Engine):
    """One forward and two backwards, but no gradients by task that have to be kept.

    The first backward forms the Gramian layer by layer, the second one the direction.
    """

    splits_layers: ClassVar[bool] = True
    needs_one_backward: ClassVar[bool] = True
    keeps_gradients: ClassVar[bool] = False
    # Its second backward is one of chosen inputs, which reentrant autograd does not take.
    runs_reentrant: ClassVar[bool] = False
    requirement: ClassVar[str] = "one process for its two backwards"

    @classmethod
    def passes(cls, tasks_of_draws: Sequence[int], *, is_merged: bool) -> tuple[int, int]:
        return 1, 2

    @contextmanager
    def step(self, parameters: Mapping[str, nn.Parameter], tasks: Sequence[str]) -> Iterator[None]:
        self._tasks = list(tasks)
        self._parameters = parameters
        compared = {parameters[name] for name in self._scope.names(parameters)}
        self._sink = GramianSink(parameters.values(), compared, len(tasks))
        try:
            with ExitStack() as self._until_applied:
                yield
        finally:
            # Where the step ended early, they hold its graph.
            self._losses: Mapping[str, Tensor] = {}

    @contextmanager
    def around(self, forward: Mapping[str, Any]) -> Iterator[None]:
        rows = {task: row for row, task in enumerate(self._tasks)}
        self._pass = MergedPass(forward, rows)
        layers = grouped(self._model.backbone, self._parameters, self._pass.groups, self._sink)
        self._grouping = self._until_applied.enter_context(layers)
        yield

    def add(self, losses: Mapping[str, Tensor]) -> None:
        self._losses = losses
        self._pass.backward(losses, self._grouping, keeps_graph=True)

    def finish(self, solve: Solve) -> None:
        coefficients = solve(self._sink.gramian)
        self._grouping.is_split = False
        by_task = dict(zip(self._tasks, coefficients.tolist(), strict=True))
        total = torch.stack([loss * by_task[task] for task, loss in self._losses.items()]).sum()
        torch.autograd.backward(total, inputs=list(self._parameters.values()))
        self._grouping.after_backward()


@final
class GramianSink:
    """Takes the gradients by task of one parameter after the other, and keeps their products.

    Args:
        parameters: The parameters.
        compared: Those whose gradients count.
        num_tasks: Tasks of the step.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], compared: set[nn.Parameter], num_tasks: int
    ) -> None:
        self.gramian = torch.zeros(num_tasks, num_tasks, dtype=torch.float64)
        self._gradients = TaskGradients(parameters)
        self._gradients.begin(num_tasks)
        self._compared = compared

    def add(self, parameter: nn.Parameter, task: int, gradient: Tensor) -> None:
        """As ``TaskGradients``."""
        if parameter in self._compared:
            self._gradients.add(parameter, task, gradient)

    def add_products(
        self, parameter: nn.Parameter, slices: Sequence[Slice], left: Tensor, right: Tensor
    ) -> None:
        """As ``TaskGradients``."""
        if parameter in self._compared:
            self._gradients.add_products(parameter, slices, left, right)

    def add_rows(self, parameter: nn.Parameter, task: int, indices: Tensor, values: Tensor) -> None:
        """As ``TaskGradients``."""
        if parameter in self._compared:
            self._gradients.add_rows(parameter, task, indices, values)

    def done(self, parameter: nn.Parameter) -> None:
        """Adds the products of a parameter that has all its gradients, and lets go of these."""
        block = self._gradients.taken(parameter)
        if block is not None:
            self.gramian += gramian_of([block.gradients], len(self.gramian))
