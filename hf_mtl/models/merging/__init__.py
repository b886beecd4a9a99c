# SPDX-License-Identifier: Apache-2.0
"""Merging methods: from the backbones of several fine-tuned models to one, one method a file."""

from hf_mtl.models.merging.average import Average
from hf_mtl.models.merging.base import MERGING_METHODS, MergingMethod, Tensors
from hf_mtl.models.merging.first import First
from hf_mtl.models.merging.task_arithmetic import TaskArithmetic
from hf_mtl.models.merging.ties import Ties

__all__ = [
    "MERGING_METHODS",
    "Average",
    "First",
    "MergingMethod",
    "TaskArithmetic",
    "Tensors",
    "Ties",
]
