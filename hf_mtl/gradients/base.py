# SPDX-License-Identifier: Apache-2.0
"""What a gradient method is, what it is told, and the registry of gradient methods.

A gradient method describes; what training changes is its state, a mapping of float64 tensors on
the host that the trainer keeps, puts into checkpoints and hands back. Every rank has the same
Gramian, so every rank computes the same weights and the same state.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hf_mtl._registry import Registry

__all__ = [
    "GRADIENT_METHODS",
    "GradientContext",
    "GradientMethod",
    "GramianMethod",
    "SeveralBatchesMethod",
    "State",
]

State = Mapping[str, Tensor]
"""State of a method by name: ``[T, T]``, ``[T]``, a value of each (pair of) task(s) of the suite,
or ``[]``; float64.

So it can be kept when tasks are added or removed. Its tensors are never changed in place.
"""


@dataclass(frozen=True)
class GradientContext:
    """What is known of a step besides its gradients.

    Args:
        step: Steps that were made before it.
        losses: Losses of the tasks that are present, ``[S]``, over all ranks, float64; without
            preferences and weightings.
        preferences: Weights that the user gives to them, ``[S]``, float64, positive; an average of
            1 is not promised. They are 1 unless the method ``uses_preferences``: the gradients of
            the other methods have been scaled by them.
        seed: Seed of the run.
    """

    step: int
    losses: Tensor
    preferences: Tensor
    seed: int = 0

    def generator(self, part: int = 0) -> torch.Generator:
        """Randomness of this step: the same on every rank, and in a run that is resumed.

        Args:
            part: Each has numbers of its own.
        """
        # Far apart, so that neighbouring seeds do not share the numbers of neighbouring steps.
        seed = self.seed * 1_000_003 + self.step + part * 1_000_000_000_039
        return torch.Generator().manual_seed(seed % 2**63)


class GradientMethod(ABC):  # noqa: B024  # what subclasses are asked for differs
    """Turns the gradients of the tasks of a step into one direction for the shared parameters.

    The gradient of a task is that of ``preference x weight x loss``, with the user's preference
    and the weight of a loss weighting. Heads belong to one task each, and are not its business.

    It knows tasks by their position in the suite, and works when only some of them are present.

    Attributes:
        cancels_scale: Whether the direction stays the same, up to its length, when gradients are
            multiplied by positive numbers, so that a loss weighting would do nothing.
        uses_preferences: Whether it does justice to the user's preferences itself. Its gradients
            are not scaled by them then.
        never_conflicts: Whether no loss rises along the direction, to first order, as long as the
            gradients are linearly independent.
        needs_whole_gradients: Whether inner products are not enough, so that it only runs where
            every rank has the whole gradients of the shared parameters.
        memory: Names of what it remembers for each task and element of the parameters.
        num_batches: Independent batches of a step on which it needs the gradients of the tasks
            apart: the micro-batches of a step are dealt to so many parts.
        primaries: Positions in the suite of tasks that it treats apart, if it does.
        breaks: Laws of the family that its definition breaks, each with the reason.
    """

    cancels_scale: ClassVar[bool] = False
    uses_preferences: ClassVar[bool] = False
    never_conflicts: ClassVar[bool] = False
    needs_whole_gradients: ClassVar[bool] = False
    memory: ClassVar[tuple[str, ...]] = ()
    num_batches: ClassVar[int] = 1
    primaries: ClassVar[Sequence[int]] = ()
    breaks: ClassVar[Mapping[str, str]] = {}

    def init_state(self, num_tasks: int) -> State:
        """State before the first step; empty, if nothing has to be remembered.

        Args:
            num_tasks: Tasks of the suite, ``T``.
        """
        del num_tasks
        return {}


class GramianMethod(GradientMethod):
    """A method whose direction is a weighted mean of the gradients.

    Its weights follow from the inner products of the gradients alone. A weight of 1 is neutral: the
    direction of a step with ``S`` tasks is the sum of ``weight x gradient / S``. At orthogonal
    gradients of equal length every weight is 1, whatever that length is; with preferences that the
    method sees to itself, the mean has those as weights.
    """

    @abstractmethod
    def weights(
        self, gramian: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        """Weight of each task of a step, ``[S]``, float64 and finite; and the state after it.

        Args:
            gramian: Inner products of the gradients, ``[S, S]``, over all ranks, float64, on the
                host, symmetric. Rows of tasks whose gradient vanishes are 0; absent tasks have no
                row. Numbers that are not finite, of gradients that overflowed, give the mean.
            tasks: Positions of the tasks that are present, ``[S]``, ascending.
            state: The state; it is not changed.
            context: What else is known.
        """


class SeveralBatchesMethod(GradientMethod):
    """A method whose weights follow from the gradients of the tasks on several batches.

    Every task has a gradient on each of ``num_batches`` parts of a step. The direction is that of a
    ``GramianMethod``: weighted means of the gradients of the whole step, so that no batch is
    computed for the weights alone.
    """

    @abstractmethod
    def weights(
        self, products: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        """Weight of each task of a step, ``[S]``, float64 and finite; and the state after it.

        Args:
            products: Inner products of the gradients, ``[K, S, K, S]`` with ``K = num_batches``:
                ``products[a, i, b, j]`` is that of task ``i`` on part ``a`` with task ``j`` on part
                ``b``; over all ranks, float64, on the host. A task's gradient in the whole step is
                the mean of those on its parts. They are 0 on parts where it has no label. Numbers
                that are not finite give weights of 1.
            tasks: Positions of the tasks that are present, ``[S]``, ascending.
            state: The state; it is not changed.
            context: What else is known.
        """


GRADIENT_METHODS: Registry[GradientMethod] = Registry("gradient method")
