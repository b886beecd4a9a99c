# SPDX-License-Identifier: Apache-2.0
"""What a multi-task model returns."""

from dataclasses import dataclass

from torch import Tensor
from transformers.utils.generic import ModelOutput

__all__ = ["MultiTaskOutput"]


@dataclass
class MultiTaskOutput(ModelOutput):
    """One loss and one set of logits per task; never a sum of losses.

    Args:
        losses: Scalar loss of every task with at least one labelled element, ``None`` if no labels
            were given. A task without labelled elements has no entry: it is absent, not zero.
        logits: ``[B, C]`` of a task on whole rows, ``[B, L, C]`` of a task on positions,
            ``[B, N]`` of one whose rows are several sequences.
    """

    losses: dict[str, Tensor] | None = None
    logits: dict[str, Tensor] | None = None
