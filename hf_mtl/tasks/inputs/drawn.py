# SPDX-License-Identifier: Apache-2.0
"""Inputs that are another each time a row is read, and the labels that come of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from hf_mtl.tasks.inputs.base import InputKind

__all__ = ["DrawnInput"]


class DrawnInput(InputKind, ABC):
    """Kind of input of which some is hidden or changed by chance, and has to be recovered.

    Rows are encoded once, as they are. What a draw makes of one depends on nothing but the seed,
    the epoch and the row, so it is the same on any number of ranks and workers.
    """

    @abstractmethod
    def drawn(
        self, features: Mapping[str, Any], generator: np.random.Generator, processing_class: Any
    ) -> tuple[dict[str, Any], list[int]]:
        """Features of one row as the model sees them this time, and the label of each position.

        Args:
            features: What ``encode`` gave for the row.
            generator: Source of chance, of this row in this epoch alone.
            processing_class: Tokenizer, or a processor that holds one.
        """
