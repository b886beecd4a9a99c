# SPDX-License-Identifier: Apache-2.0
"""The shortest mean of the gradients, approached over steps by gradients of two batches."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from hf_mtl.gradients.base import GRADIENT_METHODS, State
from hf_mtl.gradients.cross_batch import (
    CrossBatchMethod,
    projected_on_simplex,
    shares_among,
    with_shares,
)

__all__ = ["MoDo"]


@GRADIENT_METHODS.register("modo")
@final
@dataclass(frozen=True)
class MoDo(CrossBatchMethod):
    """Lets weights drift towards those of the shortest mean of the gradients, as MGDA has it.

    Where MGDA solves for them in each step, and so for the noise of a batch, these take a small
    step along an unbiased gradient, which two batches give. Choose it for long runs with noisy
    gradients; in a short one the weights stay near 1.

    Args:
        gamma: Step that weights take: 0, which keeps them at 1, or more. The larger, the more
            conflict is avoided, and the less the result carries over to new data.
        rho: Pull towards equal weights: 0, none, or more.

    Raises:
        ValueError: If one of them is negative or not finite.

    Example:
        >>> from hf_mtl.gradients import GradientContext
        >>> one_batch = torch.tensor([[1.0, 0.0], [0.0, 9.0]]).double()  # lengths 1 and 3
        >>> products = one_batch[None, :, None].expand(2, 2, 2, 2)  # the same in both batches
        >>> ones, method = torch.ones(2).double(), MoDo(gamma=0.1, rho=0)
        >>> context, state = GradientContext(0, ones, ones), method.init_state(2)
        >>> weights, state = method.weights(products, torch.arange(2), state, context)
        >>> [round(w, 6) for w in weights.tolist()]  # 2 x (1/2 +- 0.1 x (9/4 - 1/4) / 2 / 2)
        [1.1, 0.9]

    Source:
        Chen et al. 2023, "Three-Way Trade-Off in Multi-Objective Learning: Optimization,
        Generalization and Conflict-Avoidance", https://arxiv.org/abs/2305.20057, with ``rho`` and
        the defaults of the authors' code. As in the paper, the direction is that of both batches;
        its code can take it from a third. Its weights add up to 1, these to the number of tasks;
        shares are taken among the tasks that are present. Inner products are in units of the
        squared mean length of the gradients, so that ``gamma`` suits losses of any scale.
    """

    gamma: float = 1e-3
    rho: float = 0.1

    def __post_init__(self) -> None:
        for name in ("gamma", "rho"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"`{name}` must be 0 or more, but got {value!r}.")

    def init_state(self, num_tasks: int) -> State:
        return {"weight": torch.ones(num_tasks, dtype=torch.float64)}

    def learned(self, cross: Tensor, tasks: Tensor, state: State) -> tuple[Tensor, State]:
        shares = shares_among(state["weight"], tasks)
        gradient = cross @ shares + self.rho * shares
        shares = projected_on_simplex(shares - self.gamma * gradient)
        return len(tasks) * shares, {"weight": with_shares(state["weight"], tasks, shares)}
