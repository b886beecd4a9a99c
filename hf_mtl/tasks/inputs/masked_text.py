# SPDX-License-Identifier: Apache-2.0
"""Texts with some tokens hidden."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from torch import Tensor

from hf_mtl._numbers import check_interval
from hf_mtl.tasks.inputs.base import INPUTS
from hf_mtl.tasks.inputs.drawn import DrawnInput
from hf_mtl.tasks.inputs.text import TextInput, tokenizer_of
from hf_mtl.tasks.labels.missing import IGNORE_INDEX

__all__ = ["MaskedTextInput"]


@INPUTS.register("masked_text")
@final
@dataclass(frozen=True)
class MaskedTextInput(DrawnInput):
    """A text or a pair of texts, some tokens of which are to be recovered.

    Each token is chosen by itself; special tokens are not. Of those chosen most become the mask
    token, some a random token, and the rest stay as they are.

    Args:
        mask_probability: Probability that a token is chosen, in (0, 1].
        mask_share: Share of the chosen tokens that become the mask token, in [0, 1].
        random_share: Share of them that become a random token, in [0, 1].

    Raises:
        TypeError: If a value is no number.
        ValueError: If a value is out of range, or the shares are above 1 together.
    """

    roles: ClassVar[tuple[str, ...]] = TextInput.roles
    optional_roles: ClassVar[tuple[str, ...]] = TextInput.optional_roles
    batched_as: ClassVar[str | None] = "text"

    mask_probability: float = 0.15
    mask_share: float = 0.8
    random_share: float = 0.1

    def __post_init__(self) -> None:
        check_interval("mask_probability", self.mask_probability, "(0, 1]")
        check_interval("mask_share", self.mask_share, "[0, 1]")
        check_interval("random_share", self.random_share, "[0, 1]")
        if self.mask_share + self.random_share > 1:
            raise ValueError(
                f"`mask_share` and `random_share` must be at most 1 together, but got "
                f"{self.mask_share} and {self.random_share}. Lower one of them."
            )

    def check(self, processing_class: Any, *, with_words: bool) -> None:
        TextInput().check(processing_class, with_words=with_words)
        tokenizer = tokenizer_of(processing_class)
        if tokenizer.mask_token_id is None:
            raise ValueError(
                f"`processing_class` must have a mask token for masked-lm tasks, but "
                f"{type(tokenizer).__name__} has none. Use a backbone that was pretrained with one."
            )

    def encode(
        self,
        columns: Mapping[str, Sequence[Any]],
        processing_class: Any,
        *,
        max_length: int | None = None,
        with_words: bool = False,
    ) -> dict[str, list[Any]]:
        return TextInput().encode(
            columns, processing_class, max_length=max_length, with_words=with_words
        )

    def drawn(
        self, features: Mapping[str, Any], generator: np.random.Generator, processing_class: Any
    ) -> tuple[dict[str, Any], list[int]]:
        tokenizer = tokenizer_of(processing_class)
        tokens = np.asarray(features["input_ids"])
        chance, fate = generator.random((2, len(tokens)))
        others = generator.integers(len(tokenizer), size=len(tokens))
        chosen = (chance < self.mask_probability) & ~np.isin(tokens, tokenizer.all_special_ids)
        masked = chosen & (fate < self.mask_share)
        replaced = chosen & ~masked & (fate < self.mask_share + self.random_share)
        seen = np.where(masked, tokenizer.mask_token_id, np.where(replaced, others, tokens))
        labels = np.where(chosen, tokens, IGNORE_INDEX)
        return {**features, "input_ids": seen.tolist()}, labels.tolist()

    def collate(
        self, features: Sequence[Mapping[str, Any]], processing_class: Any
    ) -> dict[str, Tensor]:
        return TextInput().collate(features, processing_class)

    def accepts(self, row: Any) -> bool:
        """No: the task is there to train the backbone, and has no answers to new texts."""
        del row
        return False

    def from_raw(self, rows: Sequence[Any]) -> dict[str, list[Any]]:
        return TextInput().from_raw(rows)

    def padding_side(self, processing_class: Any) -> str:
        return TextInput().padding_side(processing_class)
