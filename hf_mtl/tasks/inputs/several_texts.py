# SPDX-License-Identifier: Apache-2.0
"""Rows that are several texts, each of which goes through the backbone by itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar

from torch import Tensor

from hf_mtl.tasks.inputs.base import InputKind
from hf_mtl.tasks.inputs.text import TextInput

__all__ = ["SeveralTexts"]


class SeveralTexts(InputKind, ABC):
    """A row of several candidates, each a text or a pair of texts: as many sequences.

    A feature of a row is a list with one entry a candidate. The sequences of a row follow each
    other in a batch, where they are padded like any other text.
    """

    batched_as: ClassVar[str | None] = "text"

    @abstractmethod
    def candidates(self, columns: Mapping[str, Sequence[Any]]) -> list[list[dict[str, str]]]:
        """Candidates of each row, each with the roles that ``TextInput`` knows.

        Args:
            columns: The rows, one sequence for each role.

        Raises:
            ValueError: If a row holds something else.
        """

    def check(self, processing_class: Any, *, with_words: bool) -> None:
        if with_words:
            raise ValueError(
                "A task on words must have one text a row as its input, but got several texts."
            )
        TextInput().check(processing_class, with_words=False)

    def encode(
        self,
        columns: Mapping[str, Sequence[Any]],
        processing_class: Any,
        *,
        max_length: int | None = None,
        with_words: bool = False,
    ) -> dict[str, list[Any]]:
        del with_words
        rows = self.candidates(columns)
        flat = list(chain.from_iterable(rows))
        texts = {role: [each[role] for each in flat] for role in flat[0]}
        features = TextInput().encode(texts, processing_class, max_length=max_length)
        return {name: _parted(values, rows) for name, values in features.items()}

    def sequences(self, row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        return [dict(zip(row, values, strict=True)) for values in zip(*row.values(), strict=True)]

    def collate(
        self, features: Sequence[Mapping[str, Any]], processing_class: Any
    ) -> dict[str, Tensor]:
        return TextInput().collate(features, processing_class)

    def padding_side(self, processing_class: Any) -> str:
        return TextInput().padding_side(processing_class)


def _parted(values: Sequence[Any], rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The values of all candidates, in a list for each row."""
    rest = iter(values)
    return [[next(rest) for _ in row] for row in rows]
