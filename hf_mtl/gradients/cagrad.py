# SPDX-License-Identifier: Apache-2.0
"""The direction near the mean of the gradients that is best for the worst task."""

import math
from dataclasses import dataclass
from typing import Literal, final, get_args

import torch
from torch import Tensor

from hf_mtl._checks import check_known
from hf_mtl._numbers import check_interval
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext
from hf_mtl.gradients.memoryless import MemorylessMethod
from hf_mtl.gradients.quadratic_program import gramian_root, unscaled_multipliers

__all__ = ["CAGrad"]

# Relative, of squared lengths.
_TOLERANCE = 1e-11

Rescale = Literal["mean", "paper", "none"]


@GRADIENT_METHODS.register("cagrad")
@final
@dataclass(frozen=True)
class CAGrad(MemorylessMethod):
    """Follows the direction around the mean of the gradients that helps the worst task most.

    Stays within a ball around the mean, so that, unlike MGDA, it still minimises the mean of the
    losses. Choose it as a compromise of the two.

    Args:
        c: Radius of the ball, as a share of the length of the mean: 0 is the mean itself, and near
            1 progress on the worst task is all that counts.
        rescale: What the direction is divided by: ``mean``, ``1 + c``, for the length of the mean
            where gradients agree; ``paper``, ``1 + c^2``; ``none``.

    Raises:
        ValueError: If ``c`` is not in [0, 1).
        KeyError: If ``rescale`` is none of these.

    Example:
        >>> gramian = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
        >>> ones = torch.ones(2).double()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> weights, _ = CAGrad().weights(gramian, torch.tensor([0, 1]), {}, context)
        >>> [round(w, 6) for w in weights.tolist()]
        [1.0, 1.0]

    Source:
        Liu et al. 2021, "Conflict-Averse Gradient Descent for Multi-task Learning", equation 4,
        https://arxiv.org/abs/2110.14048. It takes 0.4 for its vision tasks, and divides by ``1 +
        c^2``. Where no direction helps all tasks, the one nearest to the mean that harms none.
    """

    c: float = 0.4
    rescale: Rescale = "mean"

    def __post_init__(self) -> None:
        check_interval("c", self.c, "[0, 1)")
        check_known("rescale", self.rescale, get_args(Rescale))

    def solve(self, gramian: Tensor, context: GradientContext) -> Tensor:
        divisor = {"mean": 1 + self.c, "paper": 1 + self.c**2, "none": 1.0}[self.rescale]
        radius = self.c * math.sqrt(max(float(gramian.mean()), 0.0))
        # Below this the mean is rounding, and nothing else is near it.
        if radius <= 1e-8:
            return torch.ones_like(context.preferences) / divisor * (1 + self.c)
        change = _best_for_the_worst(gramian, radius)
        return (1 + len(gramian) * change) / divisor


def _best_for_the_worst(gramian: Tensor, radius: float) -> Tensor:
    """Multipliers of the step away from the mean, ``[S]``, whose length is at most the radius.

    The least progress that is asked for is raised until the shortest step that makes it is as long
    as the radius: by Newton's method on the squared length, which is convex, so that it comes down
    from above; within a bracket, because far above no step makes the progress.
    """
    gradients, progress = gramian_root(gramian), gramian.mean(dim=1)  # progress of the mean itself
    low = float(progress.min())
    high = float((progress + radius * gramian.diagonal().sqrt()).min())
    best, asked = torch.zeros_like(progress), high
    for _ in range(60):
        demands = (asked - progress) / radius  # the step has a length of 1 then
        unscaled, reach = unscaled_multipliers(gradients, demands)
        multipliers = unscaled / max(reach, 1e-300)
        excess = float(multipliers @ demands) - 1
        if excess <= _TOLERANCE:
            low, best = asked, radius * multipliers
        else:
            high = asked
        if abs(excess) <= _TOLERANCE:
            break
        asked -= radius * excess / max(2 * float(multipliers.sum()), 1e-300)
        if not low < asked < high:
            asked = (low + high) / 2
    return best
