# SPDX-License-Identifier: Apache-2.0
"""Any number of classes for a text or a pair of texts."""

from typing import ClassVar, final

from hf_mtl.tasks.base import TASK_TYPES, TaskType

__all__ = ["MultiLabelClassification"]


@TASK_TYPES.register("multi-label-classification")
@final
class MultiLabelClassification(TaskType):
    """Any number of classes out of several for each text, or for each pair of texts.

    Classes are decided independently; the head ``chain`` lets each one see those before it.
    """

    inputs: ClassVar[str] = "text"
    labels: ClassVar[str] = "class_set"
    auto_model: ClassVar[str] = "AutoModelForSequenceClassification"
    loss: ClassVar[str] = "binary_cross_entropy"
    metrics: ClassVar[tuple[str, ...]] = ("f1_micro", "f1_macro", "accuracy")
