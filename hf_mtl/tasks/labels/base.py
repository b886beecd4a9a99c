# SPDX-License-Identifier: Apache-2.0
"""What a kind of label can do, and the registry of kinds."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from hf_mtl._registry import Registry

if TYPE_CHECKING:
    from hf_mtl.tasks.spec import TaskSpec

__all__ = ["LABELS", "LabelKind"]


class LabelKind(ABC):
    """One kind of label: from a column of a data set to a tensor, and from logits to answers.

    Attributes:
        role: Column that holds the label.
        has_names: Whether labels are names out of a set that the task has to know.
        needs_words: Whether labels belong to the words of the input.
        per_token: Whether a row has a label for each position.
    """

    role: ClassVar[str] = "label"
    has_names: ClassVar[bool]
    needs_words: ClassVar[bool] = False
    per_token: ClassVar[bool] = False

    @abstractmethod
    def names_from(self, values: Iterable[Any]) -> tuple[str, ...]:
        """Label names that occur in a column, sorted; numbers sort as numbers."""

    @abstractmethod
    def encode(
        self,
        values: Sequence[Any],
        spec: "TaskSpec",
        *,
        task: str,
        value_names: Sequence[str] | None = None,
        words: Sequence[Sequence[str]] | None = None,
        word_ids: Sequence[Sequence[int | None]] | None = None,
        first_row: int = 0,
    ) -> list[Any]:
        """Labels of some rows as the loss wants them; missing ones as ``IGNORE_INDEX`` or NaN.

        Args:
            values: One label a row, as the data set has them; ``None``, NaN and ``IGNORE_INDEX``
                stand for a missing label.
            spec: The task.
            task: Its name, for messages.
            value_names: Names of the column's ids, where the column knows them; they may be in
                another order than the task's.
            words: Words of each row, for kinds that need words.
            word_ids: Word of each position of each row, for kinds that need words.
            first_row: Index of the first of these rows in the data set, for messages.

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
    def num_outputs(self, spec: "TaskSpec") -> int:
        """Width of the logits: ``C`` classes, or 1 for a number."""

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
        self,
        logits: Tensor,
        spec: "TaskSpec",
        *,
        words: Sequence[Sequence[str]] | None = None,
        word_ids: Sequence[Sequence[int | None]] | None = None,
    ) -> list[Any]:
        """Readable answers, one a row.

        Args:
            logits: ``[B, C]``, or ``[B, L, C]`` for a label at each position.
            spec: The task.
            words: Words of each row, for kinds that need words.
            word_ids: Word of each position of each row, of the padded length ``L``.
        """


LABELS: Registry[LabelKind] = Registry("kind of label")
