# SPDX-License-Identifier: Apache-2.0
"""One class for a text or a pair of texts."""

from typing import ClassVar, final

from hf_mtl.tasks.base import TASK_TYPES, TaskType

__all__ = ["TextClassification"]


@TASK_TYPES.register("text-classification")
@final
class TextClassification(TaskType):
    """One class out of several for each text, or for each pair of texts."""

    inputs: ClassVar[str] = "text"
    labels: ClassVar[str] = "class"
    auto_model: ClassVar[str] = "AutoModelForSequenceClassification"
    loss: ClassVar[str] = "cross_entropy"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro")
