# SPDX-License-Identifier: Apache-2.0
"""Weights that are inverse to a power of the progress that they give, by Newton's method."""

import torch
from torch import Tensor

from hf_mtl.gradients.gramians import NoSolutionError

__all__ = ["fair_weights"]

_MOST_STEPS = 200
_TOLERANCE = 1e-7
_EPSILON = torch.finfo(torch.float64).eps
# Weights so many times as large are not taken for a solution because of rounding.
_LARGE = 1e4
# Share of a step below which it leads nowhere.
_NO_STEP = 1e-12
# Weights this many times as large as those of orthogonal gradients: they cancel out.
_DIVERGED = 1e7


def fair_weights(gramian: Tensor, preferences: Tensor, alpha: float) -> Tensor:
    """Positive solution ``w`` of ``M w = (w / preferences)^(-1 / alpha)``: ``[S, S], [S] -> [S]``.

    It is where a strictly convex function has its minimum, so that Newton's method with steps that
    are shortened until they are safe gets there from anywhere; there is none if a mean of the
    gradients vanishes.

    Args:
        gramian: Inner products ``M`` of the gradients, around 1.
        preferences: Positive numbers around 1.
        alpha: Power of the progress; the larger, the more the least progress counts.

    Raises:
        NoSolutionError: If there is no solution, or it was not found.
    """
    orthogonal = (preferences / gramian.diagonal() ** alpha) ** (1 / (1 + alpha))
    weights = orthogonal
    for _ in range(_MOST_STEPS):
        wanted = (weights / preferences) ** (-1 / alpha)
        excess = gramian @ weights - wanted
        is_large = weights > _LARGE * orthogonal
        rounding = _EPSILON * (gramian.abs() @ weights) * ~is_large.any()
        if bool((excess.abs() <= torch.maximum(_TOLERANCE * wanted, rounding)).all()):
            return weights
        curvature = gramian + torch.diag(wanted / (alpha * weights))
        step, failed = torch.linalg.solve_ex(curvature, -excess)
        is_lost = not bool(step.isfinite().all()) or bool((weights > _DIVERGED * orthogonal).any())
        if failed or is_lost:
            break
        share = _safe_share(gramian, preferences, alpha, weights, step)
        if share < _NO_STEP:
            break
        weights = weights + share * step
    raise NoSolutionError("no weights balance the progress of the tasks")


def _safe_share(
    gramian: Tensor, preferences: Tensor, alpha: float, weights: Tensor, step: Tensor
) -> float:
    """Share of a step that keeps weights positive and the convex function from rising.

    The function falls along a step as long as its slope is not positive, which says it more
    accurately than a difference of values.
    """
    shrinking = -step / weights
    share = min(1.0, 0.9 / max(float(shrinking.max()), 1e-300))
    for _ in range(60):
        there = weights + share * step
        slope = (gramian @ there - (there / preferences) ** (-1 / alpha)) @ step
        # Half of the slope at the start, of either sign: the step of an exact search has none.
        start = (gramian @ weights - (weights / preferences) ** (-1 / alpha)) @ step
        if float(slope) <= -0.5 * float(start):
            break
        share /= 2
    return share
