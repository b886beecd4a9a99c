# SPDX-License-Identifier: Apache-2.0
"""What obtains the gradient of each task of a step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from hf_mtl.models import MultiTaskModel
from hf_mtl.training.engines.block import Block, gramian_of
from hf_mtl.training.engines.scope import Scope
from hf_mtl.training.engines.task_gradients import TaskGradients
from hf_mtl.training.ranks import Ranks
from hf_mtl.training.step import Step

__all__ = ["BufferedEngine", "Combine", "Engine", "Joined", "Solve"]

Solve = Callable[[Tensor], Tensor]
"""Gives coefficients ``[S]`` for a Gramian ``[S, S]``."""


class Joined(Protocol):
    """Gradients of some blocks, averaged over the ranks, of which each rank may have a part."""

    @property
    def matrices(self) -> Sequence[Tensor]:
        """``[S, n]`` each; those of all ranks together are the gradients."""

    def set_gradients(self, coefficients: Tensor) -> None:
        """Makes combinations of the averaged gradients, ``[S]``, those of the parameters."""


class Exchange(Protocol):
    """What a strategy does for engines; called by all ranks."""

    def joined(self, blocks: Sequence[Block]) -> Joined:
        """Gradients by task, averaged over the ranks."""

    def average(self, blocks: Sequence[Block]) -> None:
        """Replaces whole gradients by task by their averages over the ranks, on every rank."""

    def backward(self, total: Tensor) -> None:
        """A backward whose gradients the strategy exchanges itself."""


class Engine(ABC):
    """Obtains the gradients of the tasks of a step, and sets those of the shared parameters.

    A step goes through it in this order: ``prepared``; then, within ``step``, each forward
    and its ``add`` within ``around``, and at last ``finish``.

    Args:
        exchange: The strategy.
        scope: Parameters of which gradients are compared.
        ranks: The ranks of the run.
        model: The model; what its ``backbone`` has, tasks share.
        num_parts: Parts of a step, to which its micro-batches are dealt, of which the gradients of
            the tasks are compared. The row of a Gramian for a task and a part is ``part x S +
            position``.

    Attributes:
        splits_layers: Whether layers have to form their gradients by task, which not all can.
        needs_one_backward: Whether it can only do with steps of one forward in which every row has
            one task.
        needs_same_rows: Whether it can only compare tasks that have the same rows.
        is_exchanged: Whether its backward is one that the strategy exchanges itself.
        keeps_gradients: Whether the gradients of all tasks are kept until they are combined.
        runs_reentrant: Whether its backwards can go through layers that are checkpointed by
            reentrant autograd.
        keeps_outputs: Whether the outputs of the backbone are kept for each task.
        requirement: What it needs of a strategy, in words.
    """

    splits_layers: ClassVar[bool] = False
    needs_one_backward: ClassVar[bool] = False
    needs_same_rows: ClassVar[bool] = False
    is_exchanged: ClassVar[bool] = False
    keeps_gradients: ClassVar[bool] = True
    runs_reentrant: ClassVar[bool] = True
    keeps_outputs: ClassVar[bool] = False
    requirement: ClassVar[str] = "gradients that can be read after each backward"

    def __init__(
        self,
        exchange: Exchange,
        scope: Scope,
        ranks: Ranks,
        model: MultiTaskModel,
        num_parts: int = 1,
    ) -> None:
        self._exchange = exchange
        self._scope = scope
        self._ranks = ranks
        self._model = model
        self._num_parts = num_parts
        self._tasks: Sequence[str] = ()

    def around(self, forward: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Surrounds one forward and its ``add``.

        Args:
            forward: What the model gets, on the host.
        """
        return nullcontext()

    @classmethod
    @abstractmethod
    def passes(cls, tasks_of_draws: Sequence[int], *, is_merged: bool) -> tuple[int, int]:
        """Forwards and backwards of one micro-batch.

        Args:
            tasks_of_draws: Tasks on the source of each draw.
            is_merged: Whether all draws share one forward.
        """

    def prepared(self, step: Step) -> Step:
        """The step with the forwards that this engine wants; the losses stay the same."""
        return step

    @contextmanager
    def step(self, parameters: Mapping[str, nn.Parameter], tasks: Sequence[str]) -> Iterator[None]:
        """Surrounds the forwards and backwards of one step.

        Args:
            parameters: Shared parameters that are trained, by name, in the same order on every
                rank; without gradients.
            tasks: Tasks of the step, in the order of the suite.
        """
        self._tasks = list(tasks)
        yield

    @abstractmethod
    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Adds the gradients of the losses of one forward; heads get theirs.

        Args:
            losses: This rank's share of each, times its share in the total.
        """

    @abstractmethod
    def finish(self, solve: Solve) -> None:
        """Gives the shared parameters their gradients, when all forwards were added.

        Args:
            solve: Called once with the inner products of the gradients of the step, ``[S, S]``,
                over all ranks, float64. It gives what each is multiplied by in their sum, ``[S]``;
                1 leaves a task's share in the total as it is. With parts, there are ``num_parts x
                S`` of each.
        """

    @property
    def _num_gradients(self) -> int:
        """Gradients that a step compares: of each task in each part."""
        return self._num_parts * len(self._tasks)

    def _over_ranks(self, matrices: Sequence[Tensor]) -> Tensor:
        """Gramian of matrices of which every rank has a part."""
        own = gramian_of(matrices, self._num_gradients)
        return torch.tensor(self._ranks.sum(own.flatten().tolist()), dtype=own.dtype).view_as(own)


Combine = Callable[[Sequence[Block]], None]
"""Gives parameters their gradients, for whole gradients by task that it may change."""


class BufferedEngine(Engine):
    """Keeps the gradients of all tasks until they are combined: ``S x P`` numbers a part."""

    def __init__(
        self,
        exchange: Exchange,
        scope: Scope,
        ranks: Ranks,
        model: MultiTaskModel,
        num_parts: int = 1,
    ) -> None:
        super().__init__(exchange, scope, ranks, model, num_parts)
        self._gradients = TaskGradients([])
        self._row_by_task: Mapping[str, int] = {}

    @contextmanager
    def around(self, forward: Mapping[str, Any]) -> Iterator[None]:
        part = forward["micro_batch"] % self._num_parts
        self._row_by_task = {
            task: part * len(self._tasks) + position for position, task in enumerate(self._tasks)
        }
        yield

    @contextmanager
    def step(self, parameters: Mapping[str, nn.Parameter], tasks: Sequence[str]) -> Iterator[None]:
        self._tasks = list(tasks)
        known = self._gradients.parameters
        if len(known) != len(parameters) or any(
            old is not new for old, new in zip(known, parameters.values(), strict=True)
        ):
            self._gradients = TaskGradients(parameters.values())
        self._compared = {parameters[name] for name in self._scope.names(parameters)}
        self._gradients.begin(self._num_gradients)
        try:
            yield
        finally:
            self._gradients.end()

    def finish(self, solve: Solve) -> None:
        inside: list[Block] = []
        outside: list[Block] = []
        for block in self._gradients.blocks():
            (inside if block.parameter in self._compared else outside).append(block)
        compared = self._exchange.joined(inside)
        coefficients = solve(self._over_ranks(compared.matrices))
        for part in (compared, self._exchange.joined(outside)):
            part.set_gradients(coefficients)

    def hand_over(self, combine: Combine) -> None:
        """In place of ``finish``: where inner products of the gradients are not enough.

        Args:
            combine: Called once with the gradients of the step, averaged over the ranks; those of
                parameters that no task has moved are left out.
        """
        blocks = [block.whole() for block in self._gradients.blocks()]
        self._exchange.average(blocks)
        combine(blocks)
