# SPDX-License-Identifier: Apache-2.0
"""What a loss weighting is, what it is told, and the registry of weightings.

A weighting describes; what training changes is its state, a mapping of float64 tensors on the host
that the trainer keeps, puts into checkpoints and hands back. Every rank has the same losses, so
every rank computes the same weights and the same state.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hf_mtl._registry import Registry

__all__ = ["WEIGHTINGS", "State", "Weighting", "WeightingContext"]

State = Mapping[str, Tensor]
"""State of a weighting by name: ``[T]``, a value of each task of the suite, or ``[]``; float64.

So it can be kept when tasks are added or removed. Its tensors are never changed in place.
"""


@dataclass(frozen=True)
class WeightingContext:
    """What is known of a step besides its losses.

    Args:
        step: Steps that were made before it.
        epoch: Epochs that were completed before it.
        seed: Seed of the run.
    """

    step: int
    epoch: int = 0
    seed: int = 0

    def generator(self) -> torch.Generator:
        """Randomness of this step: the same on every rank, and in a run that is resumed."""
        # Far apart, so that neighbouring seeds do not share the numbers of neighbouring steps.
        return torch.Generator().manual_seed((self.seed * 1_000_003 + self.step) % 2**63)


class Weighting(ABC):
    """Decides how much the loss of each task counts in a step.

    A weight of 1 is neutral: the total of a step with ``S`` tasks is the sum of ``preference x
    weight x loss / S``, where preferences are the weights that the user gives to tasks. Weights are
    plain numbers, through which no gradient flows. A weighting that is no weighted sum, such as a
    geometric mean, gives the weights of its gradient at the current losses.

    It knows tasks by their position in the suite, and works when only some of them are present.

    Attributes:
        is_constant: Whether all weights are 1 in every step.
        compares_tasks: Whether the weights of a step say how its tasks compare with each other, so
            that they are 1 where it has one task only.
        needs_losses: Whether the weights of a step depend on its own losses, so that these have to
            be known before the first backward pass.
        needs_losses_after: Whether its state needs the losses of the same rows once the step is
            made, which costs one more forward pass.
        needs_evaluation: Whether it needs the losses of evaluations.
        breaks: Laws of the family that its definition breaks, each with the reason.
    """

    is_constant: ClassVar[bool] = False
    compares_tasks: ClassVar[bool] = False
    needs_losses: ClassVar[bool] = False
    needs_losses_after: ClassVar[bool] = False
    needs_evaluation: ClassVar[bool] = False
    breaks: ClassVar[Mapping[str, str]] = {}

    @property
    def idle_epochs(self) -> int:
        """Epochs at the start of a run in which it has nothing to go by yet."""
        return 0

    @property
    def idle_steps(self) -> int:
        """Likewise steps, where it counts these."""
        return 0

    @property
    def idle_evaluations(self) -> int:
        """Likewise evaluations, where it needs these."""
        return 0

    def init_state(self, num_tasks: int) -> State:
        """State before the first step; empty, if nothing has to be remembered.

        Args:
            num_tasks: Tasks of the suite, ``T``.
        """
        del num_tasks
        return {}

    @abstractmethod
    def weights(
        self, losses: Tensor, tasks: Tensor, state: State, context: WeightingContext
    ) -> Tensor:
        """Weight of each task of a step: ``[S], [S] -> [S]``, float64, finite and not negative.

        Args:
            losses: Losses of the step, ``[S]``, over all ranks, float64; NaN unless
                ``needs_losses``.
            tasks: Positions of the tasks that are present, ``[S]``, ascending.
            state: The state; it is not changed.
            context: What else is known.
        """

    def next_state(
        self,
        losses: Tensor,
        tasks: Tensor,
        state: State,
        context: WeightingContext,
        losses_after: Tensor | None = None,
    ) -> State:
        """State after a step: a new one.

        Args:
            losses: Losses of the step, ``[S]``, over all ranks, float64.
            tasks: Positions of the tasks that were present, ``[S]``, ascending.
            state: The state before; it is not changed.
            context: What else is known.
            losses_after: Losses of the same rows after the step, ``[S]``, if
                ``needs_losses_after``.
        """
        return state

    def state_after_evaluation(self, losses: Tensor, tasks: Tensor, state: State) -> State:
        """State after an evaluation: a new one; asked only if ``needs_evaluation``.

        Args:
            losses: Evaluation losses, ``[S]``, float64.
            tasks: Positions of the tasks that were evaluated, ``[S]``, ascending.
            state: The state before; it is not changed.
        """
        return state


WEIGHTINGS: Registry[Weighting] = Registry("loss weighting")
