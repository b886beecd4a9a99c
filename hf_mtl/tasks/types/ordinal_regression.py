# SPDX-License-Identifier: Apache-2.0
"""One of several ordered classes for a text or a pair of texts."""

from typing import ClassVar, final

from hf_mtl.tasks.base import TASK_TYPES, TaskType

__all__ = ["OrdinalRegression"]


@TASK_TYPES.register("ordinal-regression")
@final
class OrdinalRegression(TaskType):
    """One of several classes that have an order for each text, or for each pair of texts.

    Choose it over ``regression`` where the distances between the classes mean nothing, and over
    ``text-classification`` where being off by one is better than by two.
    """

    inputs: ClassVar[str] = "text"
    labels: ClassVar[str] = "ordinal"
    auto_model: ClassVar[str] = "AutoModelForSequenceClassification"
    loss: ClassVar[str] = "corn"
    metrics: ClassVar[tuple[str, ...]] = ("quadratic_kappa", "rank_mae", "accuracy")
