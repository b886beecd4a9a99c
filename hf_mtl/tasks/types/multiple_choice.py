# SPDX-License-Identifier: Apache-2.0
"""One of several choices for a text."""

from typing import ClassVar, final

from hf_mtl.tasks.base import TASK_TYPES, TaskType

__all__ = ["MultipleChoice"]


@TASK_TYPES.register("multiple-choice")
@final
class MultipleChoice(TaskType):
    """The right one of several choices that each row brings along, however many.

    Each choice is read with the text of the row and gets a score. Choose ``text-classification``
    where the choices are the same in all rows.
    """

    inputs: ClassVar[str] = "choices"
    labels: ClassVar[str] = "choice"
    auto_model: ClassVar[str] = "AutoModelForMultipleChoice"
    has_choice_axis: ClassVar[bool] = True
    loss: ClassVar[str] = "choice"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy",)
