# SPDX-License-Identifier: Apache-2.0
"""The gradient of one primary task, bent until the others make progress too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl._numbers import check_interval, is_position
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext, GramianMethod, State
from hf_mtl.gradients.gramians import NoSolutionError, nonzero_rows, relative
from hf_mtl.gradients.quadratic_program import gramian_root, shortest_direction

__all__ = ["PCD"]

# Squared length of a direction, relative to its summands, below which it is rounding.
_ROUNDING = 1e-13


@GRADIENT_METHODS.register("pcd")
@final
@dataclass(frozen=True)
class PCD(GramianMethod):
    """Follows the primary task as closely as a share of progress for every other one allows.

    Gradients are first divided by their usual length, a moving average. The direction has the
    length of the primary gradient, and is that gradient where the others cannot all be served. A
    step without the primary task follows the mean. Choose it where one task is the aim and the
    others help it. What is promised to the others comes first: if one points nearly the opposite
    way, the primary loss rises.

    Args:
        primary: Position of the primary task in the suite, from 0.
        tau: Progress that every other task is promised, as a share of what following its own
            gradient would give: 0 to 1.
        beta: Decay of the moving averages of squared lengths, in [0, 1).

    Raises:
        ValueError: If ``primary`` is negative or no whole number, ``tau`` is not in [0, 1], or
            ``beta`` is not in [0, 1).

    Example:
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 9.0]]).double()
        >>> ones, method = torch.ones(2).double(), PCD(tau=0.75)
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> weights, _ = method.weights(gramian, torch.arange(2), method.init_state(2), context)
        >>> weights = weights / 2  # of the sum of the gradients
        >>> [round(w, 6) for w in weights.tolist()]  # 1 and 0.75 of length 1, shortened to 0.8
        [0.8, 0.2]

    Source:
        "Not All Objectives Are Born Equal: Priority-Constrained Descent for Hierarchical
        Multi-Objective Optimization", 2026, https://arxiv.org/abs/2606.29521. Its direction is the
        weighted sum, here times the number of tasks, divided by it. No constant is added to squared
        lengths. With preferences, ``tau`` is in proportion to that of the task over that of the
        primary task, and at most 1.
    """

    cancels_scale: ClassVar[bool] = True
    uses_preferences: ClassVar[bool] = True
    breaks: ClassVar[dict[str, str]] = {
        "order_of_tasks_is_irrelevant": "The primary task is named by its position.",
        "equal_orthogonal_gradients_are_averaged": "The primary task counts more than the others.",
        "zero_gradients_leave_the_others_alone": "Steps are as long as the primary gradient.",
    }

    primary: int = 0
    tau: float = 0.02
    beta: float = 0.999

    def __post_init__(self) -> None:
        if not is_position(self.primary):
            raise ValueError(
                f"`primary` must be the position of a task, 0 or more, but got {self.primary!r}."
            )
        check_interval("tau", self.tau, "[0, 1]")
        check_interval("beta", self.beta, "[0, 1)")

    @property
    def primaries(self) -> Sequence[int]:  # type: ignore[override]  # a matter of the field
        """The primary task."""
        return (self.primary,)

    def init_state(self, num_tasks: int) -> State:
        zeros = torch.zeros(num_tasks, dtype=torch.float64)
        return {"mean_square": zeros, "num_steps": zeros.clone()}

    def weights(
        self, gramian: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        weights = relative(context.preferences)
        rows = nonzero_rows(gramian)
        if len(rows) == 0:
            return weights, state
        state = self._next_state(gramian.diagonal(), tasks, state)
        is_primary = tasks == self.primary
        if len(gramian) < 2 or not bool(is_primary.any()):
            return weights, state
        if not bool(is_primary[rows].any()):
            return torch.zeros_like(weights), state
        # The primary task first.
        rows = torch.cat([rows[is_primary[rows]], rows[~is_primary[rows]]])
        demands = (self.tau * context.preferences[rows] / context.preferences[rows[0]]).clamp(max=1)
        scales = self._usual_lengths(state)[tasks[rows]]
        solution = _bent(gramian[rows][:, rows] / scales.outer(scales), demands) / scales
        length = float(solution @ gramian[rows][:, rows] @ solution) ** 0.5
        solution = solution * float(gramian[rows[0], rows[0]]) ** 0.5 / max(length, 1e-300)
        return torch.zeros_like(weights).scatter(0, rows, len(gramian) * solution), state

    def _next_state(self, squares: Tensor, tasks: Tensor, state: State) -> State:
        before = state["mean_square"][tasks]
        after = self.beta * before + (1 - self.beta) * squares
        return {
            "mean_square": state["mean_square"].scatter(0, tasks, after),
            "num_steps": state["num_steps"].index_add(0, tasks, torch.ones_like(squares)),
        }

    def _usual_lengths(self, state: State) -> Tensor:
        """Root of the mean squares, without the bias towards the 0 that they began with."""
        return (state["mean_square"] / (1 - self.beta ** state["num_steps"])).sqrt()


def _bent(gramian: Tensor, demands: Tensor) -> Tensor:
    """Weights of the direction nearest to the first gradient that serves the others: ``[S]``.

    They are 0 if the direction is, and those of the first gradient alone if there is none.

    Args:
        gramian: Inner products of gradients of about length 1, the primary task first.
        demands: Progress of each task, as a share of what its own gradient would give, ``[S]``; the
            first is not looked at.
    """
    weights = torch.zeros_like(demands)
    weights[0] = 1.0
    missing = demands * gramian.diagonal() - gramian[0]
    if len(weights) > 1:
        try:
            weights[1:] = shortest_direction(gramian_root(gramian[1:, 1:]), missing[1:])
        except NoSolutionError:
            return weights
    magnitude = weights.abs() @ gramian.diagonal().sqrt()
    if float(weights @ gramian @ weights) <= _ROUNDING * float(magnitude) ** 2:
        return torch.zeros_like(weights)
    return weights
