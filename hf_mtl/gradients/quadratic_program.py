# SPDX-License-Identifier: Apache-2.0
"""The one quadratic program that most methods come down to, solved by nonnegative least squares.

It asks for the shortest direction that makes a demanded progress on every task. Only inner products
are needed, because that direction is a sum of gradients with multipliers that are not negative.
"""

import numpy as np
import torch
from torch import Tensor

from hf_mtl.gradients.gramians import NoSolutionError, cosines

__all__ = ["gramian_root", "shortest_direction", "unscaled_multipliers"]

# Of the reach: the direction would be a million times as long as the gradients.
_OUT_OF_REACH = 1e-12


def gramian_root(gramian: Tensor) -> Tensor:
    """Short rows with these inner products, to stand for the gradients: ``[S, S] -> [S, S]``.

    No gradient vanishes.
    """
    # Of the angles, or the short gradients would be lost beside the long ones.
    angles, lengths = cosines(gramian)
    values, vectors = torch.linalg.eigh(angles)
    rows: Tensor = lengths[:, None] * vectors * values.clamp(min=0).sqrt()
    return rows


def unscaled_multipliers(gradients: Tensor, demands: Tensor) -> tuple[Tensor, float]:
    """Multipliers ``u`` and reach ``r``: the direction is the sum of ``u / r x gradient``.

    Lawson and Hanson 1974, "Solving Least Squares Problems", chapter 23: minimises ``|u G|^2 +
    (u demands - 1)^2`` over ``u >= 0``, whose value is ``r``.

    Args:
        gradients: Rows ``G``, ``[S, D]``.
        demands: Progress that the direction makes on each task at least: its inner product with
            the gradient, ``[S]``.

    Returns:
        Multipliers, ``[S]``, and ``1 / (1 + squared length)`` of the direction, which is 0 where
        no direction meets all demands.

    Raises:
        NoSolutionError: If the solver gives up.
    """
    from scipy.optimize import nnls

    # Rows of length 1, for the solver: neither directions nor what is reached depend on it.
    lengths = gradients.norm(dim=1)
    matrix = np.vstack([(gradients.T / lengths).numpy(), (demands / lengths).numpy()])
    target = np.zeros(len(matrix))
    target[-1] = 1.0
    try:
        found, _ = nnls(matrix, target, maxiter=100 * len(matrix))
    except RuntimeError as error:
        raise NoSolutionError("nonnegative least squares did not converge") from error
    multipliers = torch.from_numpy(found) / lengths
    return multipliers, float(1 - multipliers @ demands)


def shortest_direction(gradients: Tensor, demands: Tensor) -> Tensor:
    """Multipliers of the shortest direction that meets all demands: ``[S, D], [S] -> [S]``.

    Raises:
        NoSolutionError: If no direction does, or the solver gives up.
    """
    multipliers, reach = unscaled_multipliers(gradients, demands)
    if reach < _OUT_OF_REACH:
        raise NoSolutionError("no direction makes progress on all tasks")
    return multipliers / reach
