# SPDX-License-Identifier: Apache-2.0
"""Weights that are learned to lower the losses of primary tasks on another batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from hf_mtl._adam import adam_state, adam_step
from hf_mtl._numbers import check_positive, is_position
from hf_mtl.gradients.base import GRADIENT_METHODS, State
from hf_mtl.gradients.cross_batch import CrossBatchMethod

__all__ = ["AutoLambda"]


@GRADIENT_METHODS.register("auto_lambda")
@final
@dataclass(frozen=True)
class AutoLambda(CrossBatchMethod):
    """Raises the weights of tasks whose gradients help the primary tasks on another batch.

    A step along a task's gradient on one batch lowers or raises the losses of the primary tasks on
    the other; the task's weight rises or falls accordingly. Weights move slowly, and all of them
    rise where tasks help each other. Choose it to find out which tasks to keep beside a primary
    one. A step in which one task alone has a gradient is a plain one, whatever its weight.

    Args:
        primary: Positions in the suite of the primary tasks, from 0. ``None``: all tasks. A step
            without any of them changes no weight.
        learning_rate: Of the weights' own Adam, for weights that begin with ``initial``.
        initial: What they begin with; they are divided by it, so that they begin with 1. A weight
            changes by up to ``learning_rate / initial`` in a step.

    Raises:
        ValueError: If ``primary`` is empty or has something else than positions, or another one is
            not positive.

    Example:
        >>> from hf_mtl.gradients import GradientContext
        >>> one_batch = torch.tensor([[1.0, -0.5], [-0.5, 1.0]]).double()  # in conflict
        >>> products = one_batch[None, :, None].expand(2, 2, 2, 2)  # the same in both batches
        >>> ones, method = torch.ones(2).double(), AutoLambda(primary=[0], learning_rate=0.01)
        >>> context, state = GradientContext(0, ones, ones), method.init_state(2)
        >>> weights, state = method.weights(products, torch.arange(2), state, context)
        >>> [round(w, 6) for w in weights.tolist()]  # 1 +- 0.01 / 0.1
        [1.1, 0.9]

    Source:
        Liu et al. 2022, "Auto-Lambda: Disentangling Dynamic Task Relationships",
        https://arxiv.org/abs/2202.03091, and the authors' code for the values. To first order: the
        paper makes a virtual step of the model, takes the second batch's gradients there, and
        finds their inner products with those of the first by finite differences; here they are
        those of the parameters as they are, which need no other pass. The length of the virtual
        step, a factor that Adam takes away, is left out. The direction is that of both batches,
        where the paper takes the first. Weights stop at 0, below which training would raise a loss.
    """

    primary: Sequence[int] | None = None
    learning_rate: float = 1e-4
    initial: float = 0.1

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)
        check_positive("initial", self.initial)
        if self.primary is None:
            return
        is_list = isinstance(self.primary, Sequence) and len(self.primary) > 0
        if not (is_list and all(map(is_position, self.primary))):
            raise ValueError(
                f"`primary` must be a list of positions of tasks, each 0 or more, but got "
                f"{self.primary!r}."
            )
        # What a checkpoint gives back, which an entry is compared with.
        object.__setattr__(self, "primary", list(self.primary))

    @property
    def primaries(self) -> Sequence[int]:  # type: ignore[override]  # a matter of the field
        """The primary tasks, unless all are."""
        return self.primary or ()

    @property
    def breaks(self) -> Mapping[str, str]:  # type: ignore[override]  # a matter of the field
        """With primary tasks, order matters."""
        broken = {"equal_orthogonal_gradients_are_averaged": "Agreement of batches raises weights."}
        if self.primary is not None:
            broken["order_of_tasks_is_irrelevant"] = "Primary tasks are named by their positions."
        return broken

    def init_state(self, num_tasks: int) -> State:
        return adam_state(torch.full((num_tasks,), self.initial, dtype=torch.float64))

    def learned(self, cross: Tensor, tasks: Tensor, state: State) -> tuple[Tensor, State]:
        is_primary = torch.tensor(
            [self.primary is None or task in self.primary for task in tasks.tolist()]
        )
        if bool(is_primary.any()):
            # By how much their losses fall along the gradient of each task.
            fall = cross[:, is_primary].sum(dim=1)
            state = adam_step(state, tasks, -fall, learning_rate=self.learning_rate)
            state = {**state, "parameter": state["parameter"].clamp(min=0)}
        return state["parameter"][tasks] / self.initial, state
