# SPDX-License-Identifier: Apache-2.0
"""Weights that grow with what a task has still to gain, by its gradients' own curvature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._numbers import check_positive
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext, State
from hf_mtl.gradients.gramians import nonzero_rows
from hf_mtl.gradients.jacobian import Tracked, TrackingMethod

__all__ = ["ExcessMTL"]


@GRADIENT_METHODS.register("excess_mtl")
@final
@dataclass(frozen=True)
class ExcessMTL(TrackingMethod):
    """Raises the weights of tasks with a large excess risk: what of their loss could be gained.

    It is estimated by a second-order expansion, with the squares of all gradients so far as the
    curvature, and is small for a task whose loss stays high because its labels are wrong. Choose it
    where some tasks have noisy labels. It remembers as much as the gradients of all tasks take.

    Args:
        learning_rate: Of the weights: how fast they follow the excess risks.

    Raises:
        ValueError: If ``learning_rate`` is not positive.

    Example:
        >>> ones, method = torch.ones(2).double(), ExcessMTL(learning_rate=1.0)
        >>> context, state = GradientContext(0, ones, ones), method.init_state(2)
        >>> tasks = torch.arange(2)
        >>> _, state = method.weights(torch.diag(ones), tasks, state, context)  # the first risks
        >>> risks = torch.diag(torch.tensor([2.0, 1.0]).double())
        >>> weights, _ = method.weights(risks, tasks, state, context)
        >>> [round(w, 4) for w in weights.tolist()]  # 2 x e^2 / (e^2 + e)
        [1.4621, 0.5379]

    Source:
        He et al. 2024, "Robust Multi-Task Learning with Excess Risks", algorithm 1,
        https://arxiv.org/abs/2402.02009. Weights are times the number of tasks. The first risk of
        a task is its unit, in the first step too; no constant is added to squares or risks.
    """

    memory: ClassVar[tuple[str, ...]] = ("sum_of_squares",)

    learning_rate: float = 1e-2

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate)

    def init_state(self, num_tasks: int) -> State:
        zeros = torch.zeros(num_tasks, dtype=torch.float64)
        return {"log_weight": zeros, "initial_risk": zeros.clone()}

    def track(
        self,
        gradients: Tensor,
        memory: Mapping[str, Tensor],
        context: GradientContext,
        norms: Tensor,
    ) -> Tracked:
        squares = memory["sum_of_squares"] + gradients.square()
        # The squared length of this is the risk: of g / square root of curvature.
        compared = torch.where(squares > 0, gradients * squares.pow(-0.25), 0.0)
        return Tracked(compared, gradients, {"sum_of_squares": squares})

    def weights(
        self, gramian: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        weights = torch.ones(len(gramian), dtype=torch.float64)
        rows = nonzero_rows(gramian)
        if len(rows) == 0:
            return weights, state
        known, risks = tasks[rows], gramian.diagonal()[rows]
        initial = state["initial_risk"][known]
        initial = torch.where(initial > 0, initial, risks)  # 0 is unknown
        before = state["log_weight"][known]
        after = before + self.learning_rate * risks / initial
        after = after - after.logsumexp(dim=0)
        # Those who were not there keep theirs, so these keep what they have together.
        kept = after + before.logsumexp(dim=0)
        state = {
            "log_weight": state["log_weight"].scatter(0, known, kept),
            "initial_risk": state["initial_risk"].scatter(0, known, initial),
        }
        return weights.scatter(0, rows, len(rows) * after.exp()), state
