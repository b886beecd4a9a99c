# SPDX-License-Identifier: Apache-2.0
"""Texts, pairs of texts, and lists of words, through any tokenizer."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from hf_mtl.tasks.inputs.base import INPUTS, InputKind
from hf_mtl.tasks.inputs.wrong_row import WrongRowError

__all__ = ["TextInput", "split_words", "tokenizer_of"]

# Tokenizers without a limit of their own say 1e30.
_NO_LIMIT = 10**9
_PAD_ADVICE = "Asking-to-pad-a-fast-tokenizer"


def split_words(text: str | Sequence[str]) -> list[str]:
    """Words of a text: the list itself, or a string cut at white space."""
    return text.split() if isinstance(text, str) else list(text)


def tokenizer_of(processing_class: Any) -> Any:
    """The tokenizer that a processing class is or holds; one without a tokenizer is its own."""
    return getattr(processing_class, "tokenizer", processing_class)


def _joined(value: Any, role: str, row_index: int) -> str:
    """Text of one cell; words are joined by one space, as a tokenizer sees them in a sentence."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and all(isinstance(word, str) for word in value):
        return " ".join(value)
    raise WrongRowError(
        f"`{role}` must be a text or a list of words in every row",
        row_index,
        f"holds {value!r}. Remove the row or give it a text.",
    )


def _word_by_character(text: str | Sequence[str]) -> list[int | None]:
    """Index of the word that each character of the joined text is in, ``None`` between words."""
    words: list[int | None] = []
    if isinstance(text, str):
        words = [None] * len(text)
        for index, match in enumerate(re.finditer(r"\S+", text)):
            words[match.start() : match.end()] = [index] * (match.end() - match.start())
        return words
    for index, word in enumerate(text):
        words.extend([None] * bool(index) + [index] * len(word))
    return words


def _word_ids(
    text: str | Sequence[str],
    offsets: Sequence[tuple[int, int]],
    sequence_ids: Sequence[int | None],
) -> list[int | None]:
    """Word of each token of the first text, found by the token's last character.

    The last character, because some tokenizers count the space before a word to its first token.
    """
    by_character = _word_by_character(text)
    return [
        by_character[end - 1] if sequence == 0 and end > start else None
        for (start, end), sequence in zip(offsets, sequence_ids, strict=True)
    ]


@INPUTS.register("text")
@final
class TextInput(InputKind):
    """A text, a pair of texts, or a text given as a list of words.

    Words are joined by spaces and found again by the character offsets of the tokens. That works
    with every fast tokenizer, whether or not it marks leading spaces, and gives a word task and a
    sentence task on the same rows one and the same input.
    """

    roles: ClassVar[tuple[str, ...]] = ("text",)
    optional_roles: ClassVar[tuple[str, ...]] = ("text_pair",)

    def check(self, processing_class: Any, *, with_words: bool) -> None:
        tokenizer = tokenizer_of(processing_class)
        if not hasattr(tokenizer, "pad_token_id"):
            raise TypeError(
                f"`processing_class` must be or hold a tokenizer for tasks on text, but got "
                f"{type(processing_class).__name__}."
            )
        if tokenizer.pad_token_id is None:
            raise ValueError(
                "`processing_class` must have a padding token to make batches, but it has none. "
                "Set one, for example `tokenizer.pad_token = tokenizer.eos_token`."
            )
        if with_words and not tokenizer.is_fast:
            raise ValueError(
                f"`processing_class` must be a fast tokenizer for tasks on words, but "
                f"{type(tokenizer).__name__} cannot tell which characters a token stands for."
            )

    def encode(
        self,
        columns: Mapping[str, Sequence[Any]],
        processing_class: Any,
        *,
        max_length: int | None = None,
        with_words: bool = False,
    ) -> dict[str, list[Any]]:
        tokenizer = tokenizer_of(processing_class)
        limit = tokenizer.model_max_length if max_length is None else max_length
        texts = {
            role: [_joined(value, role, index) for index, value in enumerate(columns[role])]
            for role in ("text", "text_pair")
            if role in columns
        }
        encoding = tokenizer(
            **texts,
            truncation=limit < _NO_LIMIT,
            max_length=limit if limit < _NO_LIMIT else None,
            return_offsets_mapping=with_words,
        )
        features = {name: encoding[name] for name in encoding if name != "offset_mapping"}
        if with_words:
            features["word_ids"] = [
                _word_ids(text, encoding["offset_mapping"][index], encoding.sequence_ids(index))
                for index, text in enumerate(columns["text"])
            ]
        return features

    def collate(
        self, features: Sequence[Mapping[str, Any]], processing_class: Any
    ) -> dict[str, Tensor]:
        tokenizer = tokenizer_of(processing_class)
        # The advice to encode and pad in one call does not fit rows that are encoded once.
        advised = tokenizer.deprecation_warnings.get(_PAD_ADVICE, False)
        tokenizer.deprecation_warnings[_PAD_ADVICE] = True
        try:
            padded = tokenizer.pad(list(features), padding=True)
        finally:
            tokenizer.deprecation_warnings[_PAD_ADVICE] = advised
        # Twice as fast as `return_tensors`, which goes through NumPy.
        return {name: torch.tensor(rows) for name, rows in padded.items()}

    def accepts(self, row: Any) -> bool:
        if isinstance(row, Mapping):
            return "text" in row
        return isinstance(row, str) or (
            isinstance(row, Sequence) and all(isinstance(word, str) for word in row)
        )

    def from_raw(self, rows: Sequence[Any]) -> dict[str, list[Any]]:
        mappings = [row if isinstance(row, Mapping) else {"text": row} for row in rows]
        roles = {role for row in mappings for role in row}
        if unknown := sorted(roles - {"text", "text_pair"}):
            raise ValueError(
                f"An input must be a text or a mapping with `text` and `text_pair`, but got "
                f"{unknown} as well. Leave them out."
            )
        if any(set(row) != roles for row in mappings):
            raise ValueError(
                "Either all inputs of one call or none must have a `text_pair`, but got both. "
                "Make two calls."
            )
        return {role: [row[role] for row in mappings] for role in sorted(roles)}

    def padding_side(self, processing_class: Any) -> str:
        return str(tokenizer_of(processing_class).padding_side)
