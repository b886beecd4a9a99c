# SPDX-License-Identifier: Apache-2.0
"""Averages of the gradients over steps, with weights that learn to make their sum short."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl._numbers import check_interval, check_not_negative
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext, State
from hf_mtl.gradients.gramians import nonzero_rows, relative
from hf_mtl.gradients.jacobian import Tracked, TrackingMethod

__all__ = ["MoCo"]

_SMALLEST = 1e-30


@GRADIENT_METHODS.register("moco")
@final
@dataclass(frozen=True)
class MoCo(TrackingMethod):
    """Tracks the gradients by moving averages, and learns weights that make their sum short.

    A stochastic MGDA: weights that follow from the noise of single batches are biased, and the
    averages take most of that noise away. Choose it where batches of a task are small. It remembers
    as much as the gradients of all tasks take.

    Args:
        beta: Share of the step in the averages, in (0, 1].
        gamma: Learning rate of the weights: 0, equal weights, or more.
        rho: Pulls weights together: 0, not at all, or more.

    Raises:
        ValueError: If ``beta`` is not in (0, 1], or ``gamma`` or ``rho`` is negative.

    Example:
        >>> ones, method = torch.ones(2).double(), MoCo(gamma=1.0)
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> memory = {"average": torch.zeros(2, 2).double()}
        >>> gradients = torch.eye(2).double()
        >>> tracked = method.track(gradients, memory, context, norms=ones)
        >>> tracked.combined.tolist()  # half of each
        [[0.5, 0.0], [0.0, 0.5]]
        >>> gramian = tracked.compared @ tracked.compared.T
        >>> weights, _ = method.weights(gramian, torch.arange(2), method.init_state(2), context)
        >>> weights.tolist()
        [2.0, 2.0]

    Source:
        Fernando et al. 2023, "Mitigating Gradient Bias in Multi-objective Learning: A Provably
        Convergent Approach", algorithm 1, https://openreview.net/forum?id=dLAYGdKTi2; gradients
        are made as long as their losses and weights kept on the simplex by a softmax, as in the
        authors' code, where ``beta`` and ``gamma`` decline with the steps; here they do not. The
        direction is made as long as the gradients are, by the mean of their lengths over that of
        the losses, averages have no bias towards the 0 they begin with, and weights are times the
        number of tasks. With preferences, these multiply the averages.
    """

    memory: ClassVar[tuple[str, ...]] = ("average",)
    cancels_scale: ClassVar[bool] = True
    uses_preferences: ClassVar[bool] = True

    beta: float = 0.5
    gamma: float = 0.1
    rho: float = 0.0

    def __post_init__(self) -> None:
        check_interval("beta", self.beta, "(0, 1]")
        check_not_negative("gamma", self.gamma)
        check_not_negative("rho", self.rho)

    def init_state(self, num_tasks: int) -> State:
        zeros = torch.zeros(num_tasks, dtype=torch.float64)
        return {"share": torch.full_like(zeros, 1 / num_tasks), "num_steps": zeros}

    def track(
        self,
        gradients: Tensor,
        memory: Mapping[str, Tensor],
        context: GradientContext,
        norms: Tensor,
    ) -> Tracked:
        is_there = norms > 0
        losses = positive(context.losses)
        scale = torch.where(is_there, losses / norms, 0.0)
        average = torch.lerp(memory["average"], gradients * scale.to(gradients)[:, None], self.beta)
        # What averages have to be multiplied by to be as long as gradients again.
        length = norms.sum() / positive((losses * is_there).sum())
        return Tracked(average, average * length.to(average), {"average": average})

    def weights(
        self, gramian: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        num_steps = state["num_steps"][tasks] + 1
        unbiased = 1 / (1 - (1 - self.beta) ** num_steps)
        state = {**state, "num_steps": state["num_steps"].scatter(0, tasks, num_steps)}
        rows = nonzero_rows(gramian)
        if len(rows) == 0:
            return torch.ones_like(num_steps), state
        known, scale = tasks[rows], unbiased[rows]
        before = state["share"][known].clamp(min=_SMALLEST)
        shares = before / before.sum()
        slope = (gramian[rows][:, rows] * scale.outer(scale)) @ shares + self.rho * shares
        shares = torch.softmax(shares - self.gamma * slope, dim=0)
        weights = unbiased.scatter(0, rows, len(rows) * shares * scale)
        # Those who were not there keep theirs, so these keep what they have together.
        share = state["share"].scatter(0, known, shares * before.sum())
        return weights * relative(context.preferences), {**state, "share": share}
