# SPDX-License-Identifier: Apache-2.0
"""Directions in which gradients of length 1 agree."""

import torch
from torch import Tensor

from hf_mtl.gradients.gramians import NoSolutionError, cosines, relative

__all__ = ["equal_projections"]


def equal_projections(gramian: Tensor, preferences: Tensor) -> Tensor:
    """Weights of gradients of length 1 whose sum projects onto each in proportion to preference.

    Those of linearly dependent gradients are the least squares solution of the least length.

    Args:
        gramian: Inner products of gradients that do not vanish, ``[S, S]``.
        preferences: Positive numbers, ``[S]``; they have an average of 1 in the projections.

    Raises:
        NoSolutionError: If such gradients cancel out.
    """
    angles, _ = cosines(gramian)
    wanted = relative(preferences)
    weights: Tensor = torch.linalg.pinv(angles, hermitian=True) @ wanted
    if float(wanted @ weights) <= 1e-10:  # the squared length of their sum
        raise NoSolutionError("gradients of length 1 cancel out")
    return weights
