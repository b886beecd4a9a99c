# SPDX-License-Identifier: Apache-2.0
"""Adam for numbers that are learned beside the model, one of each task.

They have an optimizer of their own, on the host: their gradients are known on every rank without
an exchange, no strategy has to shard them, and the rates that suit a pretrained backbone would
leave them where they are. A task that is absent from a step keeps still.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.adam import adam

__all__ = ["adam_state", "adam_step"]

_MOMENTS = ("first_moment", "second_moment", "num_updates")


def adam_state(initial: Tensor) -> dict[str, Tensor]:
    """State before the first step: the parameters, and what Adam remembers of each: ``[T]``.

    Args:
        initial: Values that the parameters begin with, ``[T]``.
    """
    return {"parameter": initial, **{name: torch.zeros_like(initial) for name in _MOMENTS}}


def adam_step(
    state: Mapping[str, Tensor],
    tasks: Tensor,
    gradient: Tensor,
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
) -> dict[str, Tensor]:
    """The entries of ``adam_state`` after a step, as new tensors.

    Args:
        state: A state with these entries, and possibly others; it is not changed.
        tasks: Positions of the tasks that take the step, ``[S]``.
        gradient: Gradient of their parameters, ``[S]``.
        learning_rate: Length of a step.
        weight_decay: Added to the gradient, times the parameter.
    """
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
        lr=learning_rate,
        weight_decay=weight_decay,
        eps=1e-8,
        maximize=False,
    )
    return {
        name: state[name].scatter(0, tasks, torch.stack(values)) for name, values in new.items()
    }
