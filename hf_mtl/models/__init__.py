# SPDX-License-Identifier: Apache-2.0
"""The model: one backbone, one head per task, one loss per task.

Importing it registers the model with ``AutoConfig`` and ``AutoModel``.
"""

from hf_mtl.models.checks import check_tasks
from hf_mtl.models.config import MultiTaskConfig
from hf_mtl.models.heads import HEADS, Head, HeadModule
from hf_mtl.models.losses import LOSSES, Loss, total_weight
from hf_mtl.models.merging import MERGING_METHODS, MergingMethod
from hf_mtl.models.modeling import MultiTaskModel
from hf_mtl.models.outputs import MultiTaskOutput

__all__ = [
    "HEADS",
    "LOSSES",
    "MERGING_METHODS",
    "Head",
    "HeadModule",
    "Loss",
    "MergingMethod",
    "MultiTaskConfig",
    "MultiTaskModel",
    "MultiTaskOutput",
    "check_tasks",
    "total_weight",
]
