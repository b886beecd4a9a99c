# SPDX-License-Identifier: Apache-2.0
"""Weightings with one parameter for each task, which Adam learns beside the model."""

from abc import abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._adam import adam_state, adam_step
from hf_mtl.weighting.base import State, Weighting, WeightingContext

__all__ = ["LearnedWeighting"]


class LearnedWeighting(Weighting):
    """A weighting that learns a parameter of each task by Adam.

    Subclasses are dataclasses with a field ``learning_rate``.

    Attributes:
        initial: Value that every parameter begins with.
        weight_decay: Added to the gradient, times the parameter.
    """

    learning_rate: float
    initial: ClassVar[float] = 0.0
    weight_decay: float = 0.0

    @final
    def init_state(self, num_tasks: int) -> State:
        return adam_state(torch.full((num_tasks,), self.initial, dtype=torch.float64))

    @abstractmethod
    def state_loss(self, parameter: Tensor, losses: Tensor, losses_after: Tensor | None) -> Tensor:
        """What the parameters of the present tasks are to lower: ``[S], [S] -> []``.

        Args:
            parameter: The parameters; gradients flow to them.
            losses: Losses of the step, detached.
            losses_after: Losses of the same rows after it, if ``needs_losses_after``.
        """

    @final
    def next_state(
        self,
        losses: Tensor,
        tasks: Tensor,
        state: State,
        context: WeightingContext,
        losses_after: Tensor | None = None,
    ) -> State:
        parameter = state["parameter"][tasks].requires_grad_()
        loss = self.state_loss(parameter, losses, losses_after)
        (gradient,) = torch.autograd.grad(loss, parameter)
        return adam_step(
            state,
            tasks,
            gradient,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
        )
