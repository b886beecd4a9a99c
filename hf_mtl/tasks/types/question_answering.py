# SPDX-License-Identifier: Apache-2.0
"""The stretch of a text that answers a question."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from hf_mtl.tasks.base import TASK_TYPES, TaskType

__all__ = ["QuestionAnswering"]


@TASK_TYPES.register("question-answering")
@final
@dataclass(frozen=True)
class QuestionAnswering(TaskType):
    """The stretch of a context that answers a question, or that there is none.

    Columns are those of SQuAD. A context longer than ``max_length`` is read in windows that
    overlap, each a row of a batch; a question is answered and judged by all of its windows.

    Args:
        stride: Tokens of the context that neighbouring windows share.
        max_answer_length: Tokens of the longest answer that is given.
        null_threshold: How far the score of "no answer" must be ahead of the best stretch's for
            there to be none; 0: whichever is higher. With a very large number there is always one.
        n_best: Answers to a new question; above 1 each answer comes with a list of them.

    Raises:
        TypeError: If a value is of the wrong kind.
        ValueError: If a value is out of range.

    Source:
        Devlin et al. 2019, "BERT", sections 4.2 and 4.3, https://arxiv.org/abs/1810.04805.
    """

    inputs: ClassVar[str] = "question_context"
    labels: ClassVar[str] = "answer_span"
    level: ClassVar[Literal["sequence", "token"]] = "token"
    auto_model: ClassVar[str] = "AutoModelForQuestionAnswering"
    loss: ClassVar[str] = "span_cross_entropy"
    metrics: ClassVar[tuple[str, ...]] = ("answer_f1", "exact_match")

    stride: int = 128
    max_answer_length: int = 30
    null_threshold: float = 0.0
    n_best: int = 1

    def input_fields(self) -> Mapping[str, Any]:
        return {"stride": self.stride}

    def label_fields(self) -> Mapping[str, Any]:
        return {
            "max_answer_length": self.max_answer_length,
            "null_threshold": self.null_threshold,
            "n_best": self.n_best,
        }
