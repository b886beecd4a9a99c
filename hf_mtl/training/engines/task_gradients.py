# SPDX-License-Identifier: Apache-2.0
"""The gradient of each task of a step: ``[S, P]``, kept parameter by parameter."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from hf_mtl.training.engines.block import Block
from hf_mtl.training.engines.grouped.sink import Slice

__all__ = ["TaskGradients"]

Rows = tuple[Tensor, Tensor]
"""Indices of rows ``[n]``, and what is added to them ``[n, D]``."""


class TaskGradients:
    """Gradients of the tasks of a step with respect to shared parameters.

    Where a step has parts, a task on each of them counts as a task of its own here.

    Buffers are kept from step to step: memory that is new has to be cleared by the system first,
    which costs more than what is written to it.

    Args:
        parameters: The parameters, in the same order on every rank. Of one that is sharded, this
            rank's part.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self.num_tasks = 0
        self._buffers: dict[nn.Parameter, Tensor] = {}
        self._written: dict[nn.Parameter, set[int]] = {}
        self._rows: dict[nn.Parameter, dict[int, list[Rows]]] = {}

    def begin(self, num_tasks: int) -> None:
        """Begins a step with this many tasks, all of whose gradients are 0."""
        self.num_tasks = num_tasks
        self.end()

    def end(self) -> None:
        """Ends a step: keeps its buffers for the next one, and nothing else."""
        self._written = {}
        self._rows = {}

    def add(self, parameter: nn.Parameter, task: int, gradient: Tensor) -> None:
        """Adds to the gradient of a task.

        Args:
            parameter: One of the parameters.
            task: Position of the task in the step.
            gradient: Of the shape of the parameter.
        """
        target, is_fresh = self._target(parameter, task)
        gradient = gradient.to_local() if isinstance(gradient, DTensor) else gradient
        if is_fresh:
            target.copy_(gradient)
        else:
            target += gradient

    def add_products(
        self, parameter: nn.Parameter, slices: Sequence[Slice], left: Tensor, right: Tensor
    ) -> None:
        """Adds ``left[slice].T @ right[slice]`` to the gradients of tasks, without copies of them.

        Args:
            parameter: One of the parameters, ``[o, i]``.
            slices: Which entries are whose.
            left: ``[n, o]``.
            right: ``[n, i]``.
        """
        if not self._multiply_at_once(parameter, slices, left, right):
            for task, start, stop in slices:
                self._add_product(parameter, task, left[start:stop], right[start:stop])

    def _multiply_at_once(
        self, parameter: nn.Parameter, slices: Sequence[Slice], left: Tensor, right: Tensor
    ) -> bool:
        """One product in batches, which is faster than one after the other; whether it could be.

        Slices have to be equally long and to follow each other, as their tasks do.
        """
        if not slices:
            return True
        num, (task, start, stop) = len(slices), slices[0]
        length, tasks = stop - start, range(task, task + num)
        in_a_row = [(task + i, start + i * length, stop + i * length) for i in range(num)]
        is_fresh = self._written.get(parameter, set()).isdisjoint(tasks)
        if list(slices) != in_a_row or not is_fresh or left.dtype != parameter.dtype:
            return False
        for each in tasks:
            self._target(parameter, each)
        rows = slice(start, start + num * length)
        torch.bmm(
            left[rows].view(num, length, -1).mT,
            right[rows].view(num, length, -1),
            out=self._buffers[parameter][tasks.start : tasks.stop],
        )
        return True

    def _add_product(self, parameter: nn.Parameter, task: int, left: Tensor, right: Tensor) -> None:
        target, is_fresh = self._target(parameter, task)
        if left.dtype != target.dtype:
            # In the data type of mixed precision, as a plain backward multiplies them.
            product = left.T @ right
            target.copy_(product) if is_fresh else target.add_(product)
        elif is_fresh:
            torch.mm(left.T, right, out=target)
        else:
            target.addmm_(left.T, right)

    def add_rows(self, parameter: nn.Parameter, task: int, indices: Tensor, values: Tensor) -> None:
        """Adds to some rows of the gradient of a task; the others stay as they are.

        What is kept of a task never has more rows than the parameter.

        Args:
            parameter: One of the parameters, ``[V, D]``.
            task: Position of the task in the step.
            indices: Rows, ``[n]``; one that comes several times is added to as often.
            values: What is added to each, ``[n, D]``.
        """
        pieces = self._rows.setdefault(parameter, {}).setdefault(task, [])
        if values.untyped_storage().nbytes() > values.nbytes:
            # The rest of what it is a part of must not be kept with it.
            values = values.clone()
        pieces.append((indices, values))
        if sum(len(each) for each, _ in pieces) > len(parameter):
            pieces[:] = [_summed(pieces, parameter)]

    def blocks(self) -> list[Block]:
        """The gradients, parameter by parameter; those that no task has moved are left out.

        To be called once in a step: rows that came one by one are kept no longer.
        """
        blocks = map(self._block_of, self.parameters)
        return [block for block in blocks if block is not None]

    def taken(self, parameter: nn.Parameter) -> Block | None:
        """The gradients of one parameter, which are kept no longer; ``None`` if there are none."""
        block = self._block_of(parameter)
        for kept in (self._buffers, self._written, self._rows):
            kept.pop(parameter, None)
        return block

    def _block_of(self, parameter: nn.Parameter) -> Block | None:
        if parameter in self._written:
            return self._block(parameter)
        return self._rows_block(parameter) if parameter in self._rows else None

    def _block(self, parameter: nn.Parameter) -> Block:
        """All elements; rows that came one by one are added to them."""
        for task, pieces in self._rows.pop(parameter, {}).items():
            target, is_fresh = self._target(parameter, task)
            if is_fresh:
                target.zero_()
            for indices, values in pieces:
                target.index_add_(0, indices, values.to(target.dtype))
        buffer = self._buffers[parameter]
        for task in set(range(self.num_tasks)) - self._written[parameter]:
            buffer[task].zero_()
        return Block(parameter, buffer[: self.num_tasks].flatten(1))

    def _rows_block(self, parameter: nn.Parameter) -> Block:
        """Only the rows that occur for some task."""
        parts = self._rows.pop(parameter)
        rows = torch.cat([indices for each in parts.values() for indices, _ in each]).unique()
        gradients = parameter.new_zeros(self.num_tasks, len(rows), parameter.shape[1])
        for task, pieces in parts.items():
            for indices, values in pieces:
                places = torch.searchsorted(rows, indices)
                gradients[task].index_add_(0, places, values.to(parameter.dtype))
        return Block(parameter, gradients.flatten(1), rows)

    def _target(self, parameter: nn.Parameter, task: int) -> tuple[Tensor, bool]:
        written = self._written.setdefault(parameter, set())
        is_fresh = task not in written
        buffer = self._buffers.get(parameter)
        if buffer is None or len(buffer) < self.num_tasks:
            local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
            buffer = torch.empty(
                self.num_tasks, *local.shape, dtype=local.dtype, device=local.device
            )
            self._buffers[parameter] = buffer
        written.add(task)
        return buffer[task], is_fresh


def _summed(pieces: Iterable[Rows], parameter: nn.Parameter) -> Rows:
    """Pieces of the gradient of a parameter as one, in which every row comes once."""
    rows = torch.cat([indices for indices, _ in pieces]).unique()
    total = parameter.new_zeros(len(rows), parameter.shape[1])
    for indices, values in pieces:
        total.index_add_(0, torch.searchsorted(rows, indices), values.to(parameter.dtype))
    return rows, total
