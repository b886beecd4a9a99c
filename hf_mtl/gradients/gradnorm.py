# SPDX-License-Identifier: Apache-2.0
"""Weights that are learned to make gradients equally long, and longer for tasks that lag behind."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._adam import adam_state, adam_step
from hf_mtl._losses import positive
from hf_mtl._numbers import check_not_negative, check_positive
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext, GramianMethod, State
from hf_mtl.gradients.gramians import nonzero_rows, relative

__all__ = ["GradNorm"]


@GRADIENT_METHODS.register("gradnorm")
@final
@dataclass(frozen=True)
class GradNorm(GramianMethod):
    """Learns weights that make gradients equally long, and longer the slower a task is learned.

    Slow is a task whose loss is still large beside its first one. Weights move a little in each
    step, and angles between gradients have no influence. Choose it for losses on different scales
    whose tasks are not in conflict.

    Args:
        alpha: How strongly slow tasks are preferred: 0, not at all, or more.
        learning_rate: Of the weights' own Adam, on their logarithms.

    Raises:
        ValueError: If ``alpha`` is negative.

    Example:
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 9.0]]).double()
        >>> ones, method, tasks = torch.ones(2).double(), GradNorm(), torch.tensor([0, 1])
        >>> state = method.init_state(2)
        >>> for step in range(100):
        ...     context = GradientContext(step=step, losses=ones, preferences=ones)
        ...     weights, state = method.weights(gramian, tasks, state, context)
        >>> [round(w, 1) for w in weights.tolist()]  # 1.5 x 1 = 0.5 x 3
        [1.5, 0.5]

    Source:
        Chen et al. 2018, "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
        Multitask Networks", algorithm 1, https://arxiv.org/abs/1711.02257. Weights are a softmax
        times the number of tasks in the step, where it divides them by their mean after each step;
        this keeps them positive. Lengths are those of all shared parameters, not of the last shared
        layer, and in units of their mean. The learning rate is that of FAMO here, whose
        weights have the same form. With preferences, lengths are in proportion to them.
    """

    uses_preferences: ClassVar[bool] = True

    alpha: float = 1.5
    learning_rate: float = 0.025

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)
        check_not_negative("alpha", self.alpha)

    def init_state(self, num_tasks: int) -> State:
        zeros = torch.zeros(num_tasks, dtype=torch.float64)
        return {"initial_loss": zeros, **adam_state(zeros.clone())}

    def weights(
        self, gramian: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        weights = relative(context.preferences)
        rows = nonzero_rows(gramian)
        if len(rows) == 0:
            return weights, state
        known = tasks[rows]
        losses = positive(context.losses[rows])
        initial = state["initial_loss"][known]
        initial = torch.where(initial > 0, initial, losses)  # 0 is unknown
        state = {**state, "initial_loss": state["initial_loss"].scatter(0, known, initial)}
        if len(rows) < 2:
            return weights, state
        parameter = state["parameter"][known].requires_grad_()
        learned = len(rows) * torch.softmax(parameter, dim=0)
        lengths = gramian.diagonal()[rows].sqrt()
        wanted = relative(losses / initial) ** self.alpha * relative(context.preferences[rows])
        gap = _gap(learned * lengths / lengths.mean(), wanted)
        (gradient,) = torch.autograd.grad(gap, parameter)
        state = {
            **state,
            **adam_step(state, known, gradient, learning_rate=self.learning_rate),
        }
        return weights.scatter(0, rows, learned.detach()), state


def _gap(lengths: Tensor, wanted: Tensor) -> Tensor:
    """Distance of the lengths from their mean times what is wanted: ``[S], [S] -> []``.

    No gradient flows through the mean.
    """
    return (lengths - lengths.mean().detach() * wanted).abs().sum()
