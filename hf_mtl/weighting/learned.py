# SPDX-License-Identifier: Apache-2.0
"""Weightings with one parameter for each task, which Adam learns beside the model.

The parameters have an optimizer of their own, on the host: their gradients are known on every rank
without an exchange, no strategy has to shard them, and the rates that suit a pretrained backbone
would leave them where they are. A task that is absent from a step keeps still.
"""

from abc import abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.optim.adam import adam

from hf_mtl.weighting.base import State, Weighting, WeightingContext

__all__ = ["LearnedWeighting"]

_MOMENTS = ("first_moment", "second_moment", "num_updates")


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
        zeros = torch.zeros(num_tasks, dtype=torch.float64)
        return {"parameter": zeros + self.initial, **{name: zeros.clone() for name in _MOMENTS}}

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
        # One tensor for each task, because each has been present in as many steps as it has.
        new = {name: list(state[name][tasks].clone()) for name in ("parameter", *_MOMENTS)}
        adam(
            new["parameter"],
            list(gradient),
            new["first_moment"],
            new["second_moment"],
            [],
            new["num_updates"],
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )
        return {
            name: state[name].scatter(0, tasks, torch.stack(values)) for name, values in new.items()
        }
