# SPDX-License-Identifier: Apache-2.0
"""Labels that are not there: how they are written in a batch, and how the others are counted."""

import math
from typing import Any

import torch
from torch import Tensor

__all__ = ["IGNORE_INDEX", "is_missing", "labelled_mask", "num_labelled"]

IGNORE_INDEX = -100
"""Class of an element without a label, as everywhere in PyTorch."""


def is_missing(value: Any) -> bool:
    """Whether a label in a data set stands for none: ``None``, NaN or ``IGNORE_INDEX``."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value) or value == IGNORE_INDEX
    return isinstance(value, int) and not isinstance(value, bool) and value == IGNORE_INDEX


def labelled_mask(labels: Tensor) -> Tensor:
    """Which elements have a label: bool, of the shape of the labels.

    Class labels (integers) miss where they are ``IGNORE_INDEX``, scores (floats) where NaN.
    """
    return ~torch.isnan(labels) if labels.is_floating_point() else labels != IGNORE_INDEX


def num_labelled(labels: Tensor) -> int:
    """How many elements have a label."""
    return int(labelled_mask(labels).sum())
