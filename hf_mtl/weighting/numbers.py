# SPDX-License-Identifier: Apache-2.0
"""Arithmetic that several weightings share."""

import torch
from torch import Tensor

__all__ = ["positive", "shares"]

_SMALLEST = 1e-8


def positive(losses: Tensor) -> Tensor:
    """Losses, raised to at least 1e-8, so that they may be divided by: ``[S] -> [S]``."""
    return losses.clamp(min=_SMALLEST)


def shares(scores: Tensor) -> Tensor:
    """Softmax of the scores, times their number, so that equal scores give 1: ``[S] -> [S]``."""
    return len(scores) * torch.softmax(scores, dim=0)
