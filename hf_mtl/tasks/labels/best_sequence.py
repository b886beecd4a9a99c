# SPDX-License-Identifier: Apache-2.0
"""How labels that name one of a row's own sequences are put into a batch."""

from abc import ABC
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from hf_mtl.tasks.labels.base import LabelKind
from hf_mtl.tasks.labels.missing import IGNORE_INDEX

__all__ = ["BestSequence"]


class BestSequence(LabelKind, ABC):
    """The place of the best among the sequences of a row: labels ``[B]``, logits ``[B, N]``."""

    has_names: ClassVar[bool] = False
    per_sequence: ClassVar[bool] = True

    def names_from(self, values: Iterable[Any]) -> tuple[str, ...]:
        del values
        return ()

    def collate(self, values: Sequence[Any], length: int | None, padding_side: str) -> Tensor:
        del length, padding_side
        return torch.tensor(values, dtype=torch.long)

    def missing(self, values: Sequence[Any]) -> list[int]:
        return [IGNORE_INDEX] * len(values)

    def num_outputs(self, names: Sequence[str]) -> int:
        del names
        return 1
