# SPDX-License-Identifier: Apache-2.0
"""Projection onto the directions along which no loss rises."""

import torch
from torch import Tensor

from hf_mtl.gradients.quadratic_program import gramian_root, shortest_direction

__all__ = ["project_onto_dual_cone"]


def project_onto_dual_cone(gramian: Tensor, weights: Tensor, regularization: float) -> Tensor:
    """Weights of the nearest directions to sums of gradients that are in conflict with none.

    Args:
        gramian: Inner products of the gradients, ``[S, S]``, around 1.
        weights: Those of the sums, ``[N, S]``.
        regularization: Added to the squared length of each gradient, as a share of it.

    Returns:
        ``[N, S]``.

    Raises:
        NoSolutionError: If the solver gives up.
    """
    gramian = gramian + regularization * gramian.diagonal().diag()
    gradients = gramian_root(gramian)
    # What is missing is made up for by the shortest step, a sum of gradients too.
    steps = [shortest_direction(gradients, -gramian @ row) for row in weights]
    return weights + torch.stack(steps)
