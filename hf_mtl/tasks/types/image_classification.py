# SPDX-License-Identifier: Apache-2.0
"""One class for a picture."""

from typing import ClassVar, final

from hf_mtl.tasks.base import TASK_TYPES, TaskType

__all__ = ["ImageClassification"]


@TASK_TYPES.register("image-classification")
@final
class ImageClassification(TaskType):
    """One class out of several for each picture."""

    inputs: ClassVar[str] = "image"
    labels: ClassVar[str] = "class"
    auto_model: ClassVar[str] = "AutoModelForImageClassification"
    loss: ClassVar[str] = "cross_entropy"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro")
