# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of Gramians that several methods share."""

import torch
from torch import Tensor

__all__ = ["NoSolutionError", "cosines", "nonzero_rows", "relative"]

# Square of the ratio of lengths below which a gradient is rounding beside the longest.
_NEGLIGIBLE = 1e-30


class NoSolutionError(ArithmeticError):
    """Equation or program of a method without a solution, or whose solver did not find it."""


def nonzero_rows(gramian: Tensor) -> Tensor:
    """Indices of the gradients that do not vanish: ``[S, S] -> [R]``; none if not all is finite."""
    squares = gramian.diagonal()
    if len(squares) == 0 or not bool(gramian.isfinite().all()):
        return torch.empty(0, dtype=torch.long)
    return ((squares > 0) & (squares > _NEGLIGIBLE * squares.max())).nonzero().flatten()


def cosines(gramian: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of the angles between gradients that do not vanish, and their lengths.

    Args:
        gramian: Inner products, ``[S, S]``.

    Returns:
        ``[S, S]`` with ones on the diagonal, and ``[S]``.
    """
    lengths = gramian.diagonal().sqrt()
    return gramian / lengths.outer(lengths), lengths


def relative(preferences: Tensor) -> Tensor:
    """Preferences in units of their average: ``[S] -> [S]``."""
    return preferences / preferences.mean()
