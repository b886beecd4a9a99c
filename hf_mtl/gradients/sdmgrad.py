# SPDX-License-Identifier: Apache-2.0
"""Between the shortest mean of the gradients and their plain mean, by gradients of two batches."""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._numbers import check_interval, check_not_negative, check_positive
from hf_mtl.gradients.base import GRADIENT_METHODS, State
from hf_mtl.gradients.cross_batch import (
    CrossBatchMethod,
    projected_on_simplex,
    shares_among,
    with_shares,
)

__all__ = ["SDMGrad"]


@GRADIENT_METHODS.register("sdmgrad")
@final
@dataclass(frozen=True)
class SDMGrad(CrossBatchMethod):
    """Avoids conflicts as MGDA does, but is drawn to the mean of the gradients.

    Weights are found by some steps of gradient descent in each step of training, and begin with
    those of the step before. Inner products are those between two batches, which noise does not
    make larger. Choose it where MGDA, or MoDo, would give too much to the smallest gradient.

    Args:
        lam: How strongly the mean draws: 0 is the shortest mean of the gradients, and infinitely
            much their plain mean.
        learning_rate: Length of the steps on weights.
        momentum: Share of a step that goes on in the next, in [0, 1).
        num_iterations: How many such steps are made.

    Raises:
        TypeError: If ``num_iterations`` is no whole number.
        ValueError: If ``lam`` is negative or not finite, ``momentum`` is not in [0, 1), or another
            one is not positive.

    Example:
        >>> from hf_mtl.gradients import GradientContext
        >>> one_batch = torch.tensor([[1.0, 0.0], [0.0, 9.0]]).double()  # lengths 1 and 3
        >>> products = one_batch[None, :, None].expand(3, 2, 3, 2)  # the same in all batches
        >>> ones, method = torch.ones(2).double(), SDMGrad(lam=0.25, learning_rate=0.1)
        >>> context, state = GradientContext(0, ones, ones), method.init_state(2)
        >>> weights, state = method.weights(products, torch.arange(2), state, context)
        >>> [round(w, 2) for w in weights.tolist()]  # 1 x w + 0.25 / 2 = 9 x (1 - w) + 9/4 / 2
        [1.8, 0.2]

    Source:
        Xiao et al. 2023, "Direction-oriented Multi-objective Learning: Simple and Provable
        Stochastic Algorithms", https://arxiv.org/abs/2305.18409, with the scale, the division by
        ``1 + lam`` and the momentum of the authors' code. Its scale is the mean length, by inner
        products of two batches, which can be negative; here by those of one. Its weights add up to
        1, these to the number of tasks, and shares are taken among the tasks that are present. The
        direction is that of all three batches, where the paper takes the third: less noise for a
        little bias. The authors' code has a learning rate of 10, or 5 in LibMTL, at which the
        weights of gradients at right angles do not settle, but jump from task to task.
    """

    num_batches: ClassVar[int] = 3

    lam: float = 0.3
    learning_rate: float = 1.0
    momentum: float = 0.5
    num_iterations: int = 20

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)
        check_positive("num_iterations", self.num_iterations, whole=True)
        check_not_negative("lam", self.lam)
        check_interval("momentum", self.momentum, "[0, 1)")

    def init_state(self, num_tasks: int) -> State:
        return {"weight": torch.ones(num_tasks, dtype=torch.float64)}

    def learned(self, cross: Tensor, tasks: Tensor, state: State) -> tuple[Tensor, State]:
        shares = shares_among(state["weight"], tasks)
        velocity = torch.zeros_like(shares)
        for _ in range(self.num_iterations):
            gradient = cross @ shares + self.lam * cross.mean(dim=1)
            velocity = self.momentum * velocity + gradient
            shares = projected_on_simplex(shares - self.learning_rate * velocity)
        weights = (len(tasks) * shares + self.lam) / (1 + self.lam)
        return weights, {"weight": with_shares(state["weight"], tasks, shares)}
