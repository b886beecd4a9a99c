# SPDX-License-Identifier: Apache-2.0
"""Losses of one task, one file each, and the losses of all tasks of a forward."""

from hf_mtl.models.losses.base import LOSSES, Loss, check_losses, task_losses, total_weight
from hf_mtl.models.losses.binary_cross_entropy import BinaryCrossEntropy
from hf_mtl.models.losses.corn import CORN
from hf_mtl.models.losses.cross_entropy import CrossEntropy
from hf_mtl.models.losses.focal import Focal
from hf_mtl.models.losses.mse import MeanSquaredError

__all__ = [
    "CORN",
    "LOSSES",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Focal",
    "Loss",
    "MeanSquaredError",
    "check_losses",
    "task_losses",
    "total_weight",
]
