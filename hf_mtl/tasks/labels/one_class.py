# SPDX-License-Identifier: Apache-2.0
"""How rows with one class each are read and put into a batch, whatever is learned of them."""

from abc import ABC
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from hf_mtl.tasks.labels.base import LabelKind
from hf_mtl.tasks.labels.class_names import encode_classes
from hf_mtl.tasks.labels.column import LabelColumn
from hf_mtl.tasks.labels.missing import IGNORE_INDEX

__all__ = ["OneClass"]


class OneClass(LabelKind, ABC):
    """One class out of several for each row, by name or by id: labels ``[B]``."""

    has_names: ClassVar[bool] = True

    def encode(self, column: LabelColumn) -> list[int]:
        return encode_classes(column)

    def collate(self, values: Sequence[Any], length: int | None, padding_side: str) -> Tensor:
        del length, padding_side
        return torch.tensor(values, dtype=torch.long)

    def missing(self, values: Sequence[Any]) -> list[int]:
        return [IGNORE_INDEX] * len(values)
