# SPDX-License-Identifier: Apache-2.0
"""Averages of the gradients of logarithms of losses, all made equally long."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._losses import positive
from hf_mtl._numbers import check_interval
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext, State
from hf_mtl.gradients.gramians import nonzero_rows, relative
from hf_mtl.gradients.jacobian import Tracked, TrackingMethod

__all__ = ["DBMTL"]

_SMALLEST = 1e-30


@GRADIENT_METHODS.register("db_mtl")
@final
@dataclass(frozen=True)
class DBMTL(TrackingMethod):
    """Makes moving averages of the gradients as long as the longest of them.

    They are those of the logarithms of the losses, so that neither scales of losses nor lengths of
    gradients decide which task is learned; angles have no influence. Choose it for losses of
    different kinds. It remembers as much as the gradients of all tasks take.

    Args:
        beta: Share of the past in the averages, in [0, 1).

    Raises:
        ValueError: If ``beta`` is not in [0, 1).

    Example:
        >>> ones, method = torch.ones(2).double(), DBMTL(beta=0)
        >>> context = GradientContext(step=0, losses=4 * ones, preferences=ones)
        >>> memory = {"average": torch.zeros(2, 2).double()}
        >>> gradients = torch.diag(torch.tensor([4.0, 12.0]).double())
        >>> tracked = method.track(gradients, memory, context, norms=gradients.norm(dim=1))
        >>> gramian = tracked.compared @ tracked.compared.T  # of lengths 1 and 3
        >>> weights, _ = method.weights(gramian, torch.arange(2), method.init_state(2), context)
        >>> [round(w, 6) for w in weights.tolist()]
        [3.0, 1.0]

    Source:
        Lin et al. 2023, "Dual-Balancing for Multi-Task Learning", algorithm 1 with a constant
        ``beta``, https://arxiv.org/abs/2308.12029. Averages have no bias towards the 0 that they
        begin with. It takes the sum, here divided by the number of tasks and made as long as the
        gradients are, by the mean of their lengths over that of the logarithms'. With preferences,
        lengths are in proportion to them.
    """

    memory: ClassVar[tuple[str, ...]] = ("average",)
    cancels_scale: ClassVar[bool] = True
    uses_preferences: ClassVar[bool] = True

    beta: float = 0.9

    def __post_init__(self) -> None:
        check_interval("beta", self.beta, "[0, 1)")

    def init_state(self, num_tasks: int) -> State:
        return {"num_steps": torch.zeros(num_tasks, dtype=torch.float64)}

    def track(
        self,
        gradients: Tensor,
        memory: Mapping[str, Tensor],
        context: GradientContext,
        norms: Tensor,
    ) -> Tracked:
        losses = positive(context.losses)
        of_logs = gradients / losses.to(gradients)[:, None]
        average = torch.lerp(of_logs, memory["average"], self.beta)
        # What averages have to be multiplied by to be as long as gradients again.
        length = norms.sum() / (norms / losses).sum().clamp(min=_SMALLEST)
        return Tracked(average, average * length.to(average), {"average": average})

    def weights(
        self, gramian: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        num_steps = state["num_steps"][tasks] + 1
        unbiased = 1 / (1 - self.beta**num_steps)
        state = {"num_steps": state["num_steps"].scatter(0, tasks, num_steps)}
        rows = nonzero_rows(gramian)
        if len(rows) == 0:
            return torch.ones_like(num_steps), state
        lengths = gramian.diagonal()[rows].sqrt()
        longest = (lengths * unbiased[rows]).max()
        weights = unbiased.scatter(0, rows, longest / lengths)
        return weights * relative(context.preferences), state
