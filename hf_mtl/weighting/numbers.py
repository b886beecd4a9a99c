# SPDX-License-Identifier: Apache-2.0
"""Arithmetic that several weightings share."""

import torch
from torch import Tensor

__all__ = ["shares"]


def shares(scores: Tensor) -> Tensor:
    """Softmax of the scores, times their number, so that equal scores give 1: ``[S] -> [S]``."""
    return len(scores) * torch.softmax(scores, dim=0)
