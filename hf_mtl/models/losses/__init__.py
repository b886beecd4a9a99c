# SPDX-License-Identifier: Apache-2.0
"""Losses of one task, one file each, and the losses of all tasks of a forward."""

from hf_mtl.models.losses.base import LOSSES, Loss, check_losses, task_losses, total_weight
from hf_mtl.models.losses.binary_cross_entropy import BinaryCrossEntropy
from hf_mtl.models.losses.bradley_terry import BradleyTerry
from hf_mtl.models.losses.choice import ChoiceLikelihood
from hf_mtl.models.losses.corn import CORN
from hf_mtl.models.losses.cross_entropy import CrossEntropy
from hf_mtl.models.losses.focal import Focal
from hf_mtl.models.losses.mse import MeanSquaredError
from hf_mtl.models.losses.span_cross_entropy import SpanCrossEntropy

__all__ = [
    "CORN",
    "LOSSES",
    "BinaryCrossEntropy",
    "BradleyTerry",
    "ChoiceLikelihood",
    "CrossEntropy",
    "Focal",
    "Loss",
    "MeanSquaredError",
    "SpanCrossEntropy",
    "check_losses",
    "task_losses",
    "total_weight",
]
