# SPDX-License-Identifier: Apache-2.0
"""One number for a text or a pair of texts."""

from typing import ClassVar, final

from hf_mtl.tasks.base import TASK_TYPES, TaskType

__all__ = ["Regression"]


@TASK_TYPES.register("regression")
@final
class Regression(TaskType):
    """One number for each text, or for each pair of texts."""

    inputs: ClassVar[str] = "text"
    labels: ClassVar[str] = "score"
    auto_model: ClassVar[str] = "AutoModelForSequenceClassification"
    loss: ClassVar[str] = "mse"
    metrics: ClassVar[tuple[str, ...]] = ("pearson", "rmse")
