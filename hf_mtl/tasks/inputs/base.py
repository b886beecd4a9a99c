# SPDX-License-Identifier: Apache-2.0
"""What a kind of input can do, and the registry of kinds."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from hf_mtl._registry import Registry

__all__ = ["INPUTS", "InputKind"]


class InputKind(ABC):
    """One kind of model input: how rows become features, and features a batch.

    Training, evaluation and ``predict`` all encode through it, so that a model sees new input in
    the form in which it was trained.

    Attributes:
        roles: Columns that are needed.
        optional_roles: Columns that are used when they are given.
        on_the_fly: Whether rows are encoded each time they are read (large features, such as
            pictures) or once, ahead of training.
    """

    roles: ClassVar[tuple[str, ...]]
    optional_roles: ClassVar[tuple[str, ...]] = ()
    on_the_fly: ClassVar[bool] = False

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
        """Batch of some rows' features, padded to the longest: ``[B, ...]`` for each feature."""

    @abstractmethod
    def accepts(self, row: Any) -> bool:
        """Whether a raw input of ``predict`` is of this kind."""

    @abstractmethod
    def from_raw(self, rows: Sequence[Any]) -> dict[str, list[Any]]:
        """Columns of some raw inputs that ``accepts`` said yes to: a list for each role."""

    def padding_side(self, processing_class: Any) -> str:
        """Side on which ``collate`` pads: ``"right"`` or ``"left"``."""
        del processing_class
        return "right"


INPUTS: Registry[InputKind] = Registry("kind of input")
