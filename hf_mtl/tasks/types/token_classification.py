# SPDX-License-Identifier: Apache-2.0
"""One class for each word of a text."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal, final

from hf_mtl.tasks.base import TASK_TYPES, TaskType

__all__ = ["TokenClassification"]


@TASK_TYPES.register("token-classification")
@final
class TokenClassification(TaskType):
    """One class for each word; its first token speaks for the word.

    The words are in the column of the role ``tokens``, the name that data sets give it, as a list
    of words or as a text to be cut at white space.
    """

    inputs: ClassVar[str] = "text"
    labels: ClassVar[str] = "token_class"
    role_names: ClassVar[Mapping[str, str]] = MappingProxyType({"text": "tokens"})
    level: ClassVar[Literal["sequence", "token"]] = "token"
    auto_model: ClassVar[str] = "AutoModelForTokenClassification"
    loss: ClassVar[str] = "cross_entropy"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "f1_macro")
