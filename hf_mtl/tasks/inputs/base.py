# SPDX-License-Identifier: Apache-2.0
"""What a kind of input can do, and the registry of kinds."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from hf_mtl._registry import Registry

__all__ = ["INPUTS", "ROW_OF_SEQUENCE", "InputKind", "batch_of"]

ROW_OF_SEQUENCE = "row_of_sequence"
"""Beside the inputs of the backbone: of each sequence of a batch the row that it is of, ``[B]``."""


class InputKind(ABC):
    """One kind of model input: how rows become features, and features a batch.

    Training, evaluation and ``predict`` all encode through it, so that a model sees new input in
    the form in which it was trained.

    Attributes:
        roles: Columns that are needed.
        optional_roles: Columns that are used when they are given.
        list_roles: Those of them that hold a list, whose entries may be in a column each.
        makes_windows: Whether a row may become several rows of features, ``"windows"`` beside them.
        on_the_fly: Whether rows are encoded each time they are read (large features, such as
            pictures) or once, ahead of training.
        batched_as: The kind whose sequences its own are, and with which it can share a forward;
            ``None``: itself.
    """

    roles: ClassVar[tuple[str, ...]]
    optional_roles: ClassVar[tuple[str, ...]] = ()
    list_roles: ClassVar[frozenset[str]] = frozenset()
    makes_windows: ClassVar[bool] = False
    on_the_fly: ClassVar[bool] = False
    batched_as: ClassVar[str | None] = None

    @abstractmethod
    def check(self, processing_class: Any, *, with_words: bool) -> None:
        """Raises ``TypeError`` or ``ValueError`` if that processing class cannot encode this kind.

        Args:
            processing_class: Tokenizer, image processor, or a processor that holds one.
            with_words: Whether features have to be traced back to words.
        """

    @abstractmethod
    def encode(
        self,
        columns: Mapping[str, Sequence[Any]],
        processing_class: Any,
        *,
        max_length: int | None = None,
        with_words: bool = False,
    ) -> dict[str, list[Any]]:
        """Features of some rows, not padded: a list with one entry a row for each feature.

        Args:
            columns: The rows, one sequence for each role.
            processing_class: Tokenizer, image processor, or a processor that holds one.
            max_length: Positions after which a row is cut off; ``None``: the longest that the
                processing class allows.
            with_words: Whether to add ``"word_ids"``: for each position the index of the word
                that it is a part of, or ``None``.

        Raises:
            ValueError: If a row holds something else than this kind of input.
        """

    @abstractmethod
    def collate(
        self, features: Sequence[Mapping[str, Any]], processing_class: Any
    ) -> dict[str, Tensor]:
        """Batch of some sequences, padded to the longest: ``[B, ...]`` for each feature.

        Args:
            features: Features of each sequence; of most kinds a row is one.
            processing_class: Tokenizer, image processor, or a processor that holds one.
        """

    def sequences(self, row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """What goes through the backbone for the features of one row: the row, or several."""
        return [row]

    @abstractmethod
    def accepts(self, row: Any) -> bool:
        """Whether a raw input of ``predict`` is of this kind."""

    @abstractmethod
    def from_raw(self, rows: Sequence[Any]) -> dict[str, list[Any]]:
        """Columns of some raw inputs that ``accepts`` said yes to: a list for each role."""

    def roles_of(self, row: Any) -> frozenset[str]:
        """Roles that a raw input of this kind gives: keys of a mapping, else what is needed."""
        return frozenset(row if isinstance(row, Mapping) else self.roles)

    def padding_side(self, processing_class: Any) -> str:
        """Side on which ``collate`` pads: ``"right"`` or ``"left"``."""
        del processing_class
        return "right"


INPUTS: Registry[InputKind] = Registry("kind of input")


def batch_of(
    rows: Sequence[Sequence[Mapping[str, Any]]], kind: InputKind, processing_class: Any
) -> dict[str, Tensor]:
    """Batch of rows of one sequence or of several, which follow each other.

    If some row has several, the batch says of which row each sequence is.

    Args:
        rows: Sequences of each row.
        kind: A kind of input, any of those that can share a forward.
        processing_class: Tokenizer, image processor, or a processor that holds one.
    """
    inputs = kind.collate([sequence for row in rows for sequence in row], processing_class)
    if any(len(row) > 1 for row in rows):
        owners = [index for index, row in enumerate(rows) for _ in row]
        inputs[ROW_OF_SEQUENCE] = torch.tensor(owners)
    return inputs
