# SPDX-License-Identifier: Apache-2.0
"""The tokens that were hidden."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from hf_mtl.tasks.labels.base import LABELS, LabelKind
from hf_mtl.tasks.labels.column import LabelColumn, RowWords
from hf_mtl.tasks.labels.missing import IGNORE_INDEX, is_missing, labelled_mask
from hf_mtl.tasks.labels.token_class import TokenClass

__all__ = ["MaskedToken"]


@LABELS.register("masked_token")
@final
class MaskedToken(LabelKind):
    """The token that stood at each position which the input has hidden.

    A data set has no column for it. In one that is given, ``None`` marks rows to be left out. The
    tokens are known when a row is drawn; until then one number stands for all its positions.
    """

    default: ClassVar[Any] = True
    has_names: ClassVar[bool] = False
    per_token: ClassVar[bool] = True
    has_constant_answer: ClassVar[bool] = False

    def names_from(self, values: Iterable[Any]) -> tuple[str, ...]:
        del values
        return ()

    def encode(self, column: LabelColumn) -> list[int]:
        return [IGNORE_INDEX if is_missing(value) else 0 for value in column.values]

    def collate(self, values: Sequence[Any], length: int | None, padding_side: str) -> Tensor:
        rows = [[value] if isinstance(value, int) else value for value in values]
        return TokenClass().collate(rows, length, padding_side)

    def missing(self, values: Sequence[Any]) -> list[int]:
        return [IGNORE_INDEX] * len(values)

    def num_outputs(self, names: Sequence[str]) -> int:
        """1, for what configs call labels; logits are as wide as the backbone's vocabulary."""
        del names
        return 1

    def constant_logits(self, labels: Tensor, num_outputs: int) -> Tensor:
        del labels
        return torch.zeros(num_outputs)

    def pairs(
        self, logits: Tensor, labels: Tensor
    ) -> tuple[list[list[tuple[int, float]]], list[list[tuple[int, float]]]]:
        """Of each hidden position the likeliest token and the loss; the right one and its loss, 0.

        Args:
            logits: ``[B, L, V]``.
            labels: ``[B, L]``.
        """
        mask = labelled_mask(labels)
        hidden, right = logits[mask].float(), labels[mask]
        losses = torch.nn.functional.cross_entropy(hidden, right, reduction="none").tolist()
        found = iter(zip(hidden.argmax(dim=-1).tolist(), losses, strict=True))
        known = iter([(token, 0.0) for token in right.tolist()])
        counts = [count for count in mask.sum(dim=-1).tolist() if count]
        return (
            [[*islice(found, count)] for count in counts],
            [[*islice(known, count)] for count in counts],
        )

    def answers(
        self, logits: Tensor, names: Sequence[str], words: RowWords | None = None
    ) -> list[list[int]]:
        """The likeliest token at each position, by its id."""
        del names, words
        ids: list[list[int]] = logits.argmax(dim=-1).tolist()
        return ids
