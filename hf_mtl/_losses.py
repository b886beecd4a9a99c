# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of losses that weightings and gradient methods share."""

from torch import Tensor

__all__ = ["positive"]

_SMALLEST = 1e-8


def positive(losses: Tensor) -> Tensor:
    """Losses, raised to at least 1e-8, so that they may be divided by: ``[S] -> [S]``."""
    return losses.clamp(min=_SMALLEST)
