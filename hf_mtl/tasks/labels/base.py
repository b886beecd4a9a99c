# SPDX-License-Identifier: Apache-2.0
"""What a kind of label can do, and the registry of kinds."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor

from hf_mtl._registry import Registry
from hf_mtl.tasks.labels.column import LabelColumn, RowWords

__all__ = ["LABELS", "LabelKind", "ProblemType", "TracedLabelKind"]


ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]


class LabelKind(ABC):
    """One kind of label: from a column of a data set to a tensor, and from logits to answers.

    Attributes:
        role: Column that holds the label.
        default: Of kinds without names, the label of every row of a task that is not told of a
            column for it; ``None``: it is in the column called like the role.
        has_names: Whether labels are names out of a set that the task has to know.
        needs_words: Whether labels belong to the words of the input.
        per_token: Whether a row has a label for each position.
        stored_field: Where ``encode`` gives mappings, the field that says whether one is missing.
        per_sequence: Whether logits are one for each of the sequences that a row consists of,
            ``[B, N]``, and minus infinity where a row has fewer than others.
        has_constant_answer: Whether one answer can be right for many rows. If not,
            ``constant_logits`` prefer none.
        problem_type: What configs of transformers call such a problem, for tasks on rows.
    """

    role: ClassVar[str] = "label"
    default: ClassVar[Any] = None
    has_names: ClassVar[bool]
    needs_words: ClassVar[bool] = False
    per_token: ClassVar[bool] = False
    stored_field: ClassVar[str | None] = None
    per_sequence: ClassVar[bool] = False
    has_constant_answer: ClassVar[bool] = True
    problem_type: ClassVar[ProblemType] = "single_label_classification"

    @abstractmethod
    def names_from(self, values: Iterable[Any]) -> tuple[str, ...]:
        """Label names that occur in a column, sorted; numbers sort as numbers."""

    @abstractmethod
    def encode(self, column: LabelColumn) -> list[Any]:
        """Labels of some rows as the loss wants them; missing ones as ``IGNORE_INDEX`` or NaN.

        Raises:
            ValueError: If a value is none of the task's labels, or not of this kind.
        """

    @abstractmethod
    def collate(self, values: Sequence[Any], length: int | None, padding_side: str) -> Tensor:
        """Tensor of some rows' labels: ``[B]``, or ``[B, L]`` for a label at each position.

        Args:
            values: What ``encode`` gave, one entry a row.
            length: Padded length ``L`` of the input, for kinds with a label at each position.
            padding_side: ``"right"`` or ``"left"``, as the input was padded.
        """

    @abstractmethod
    def missing(self, values: Sequence[Any]) -> list[Any]:
        """What ``encode`` gives for rows without a label, in the form of the values replaced.

        Args:
            values: What ``encode`` gave, one entry a row.
        """

    @abstractmethod
    def num_outputs(self, names: Sequence[str]) -> int:
        """Width of the logits for a task with these label names: ``C`` classes, or 1."""

    def output_names(self, names: Sequence[str]) -> tuple[str, ...]:
        """What each of the outputs stands for, if they are not the labels themselves."""
        return tuple(names)

    @abstractmethod
    def constant_logits(self, labels: Tensor, num_outputs: int) -> Tensor:
        """Logits ``[C]`` that always give the answer that is best without looking at the row.

        Args:
            labels: Labels of the rows to train on, at least one of them not missing: ``[N]``, or
                with more axes.
            num_outputs: Width ``C`` of the logits.
        """

    @abstractmethod
    def pairs(self, logits: Tensor, labels: Tensor) -> tuple[list[Any], list[Any]]:
        """Predictions and references of the labelled rows, for metrics.

        Args:
            logits: ``[B, C]``, or ``[B, L, C]`` for a label at each position.
            labels: ``[B]`` or ``[B, L]``.

        Returns:
            Two lists with one entry a labelled row: class ids, numbers, or lists of class ids.
        """

    @abstractmethod
    def answers(
        self, logits: Tensor, names: Sequence[str], words: RowWords | None = None
    ) -> list[Any]:
        """Readable answers, one a row.

        Args:
            logits: ``[B, C]``, or ``[B, L, C]`` for a label at each position.
            names: Label names of the task, in the order of their ids; none for numbers.
            words: Words of the rows, with positions of the padded length ``L``, for kinds that
                need words.
        """


class TracedLabelKind(LabelKind, ABC):
    """Kind of label of rows that were cut into windows, and are answered and judged as wholes.

    Logits and labels are of windows. What else it takes, such as the text behind the positions,
    travels beside them as traces.
    """

    @abstractmethod
    def traces(self, values: Sequence[Any], length: int | None, padding_side: str) -> list[Any]:
        """What the windows came from, one entry a window; arguments as of ``collate``."""

    @abstractmethod
    def pairs(
        self, logits: Tensor, labels: Tensor, traces: Sequence[Any] | None = None
    ) -> tuple[list[Any], list[Any]]:
        """Predictions and references of the labelled windows, for ``joined``.

        Args:
            logits: Of the windows, as for every kind.
            labels: Of the windows, as for every kind.
            traces: What the windows came from.
        """

    @abstractmethod
    def joined(
        self, predictions: Sequence[Any], references: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Predictions and references of whole rows, for metrics.

        Args:
            predictions: What ``pairs`` gave, for all windows, in any order.
            references: Likewise.
        """

    @abstractmethod
    def answers(
        self,
        logits: Tensor,
        names: Sequence[str],
        words: RowWords | None = None,
        traces: Sequence[Any] | None = None,
    ) -> list[Any]:
        """Readable answers, one a row; rows in the order of their windows.

        Args:
            logits: Of the windows, as for every kind.
            names: Label names of the task.
            words: Words of the rows, for kinds that need words.
            traces: What the windows came from.
        """


LABELS: Registry[LabelKind] = Registry("kind of label")
