# SPDX-License-Identifier: Apache-2.0
"""Losses of one task, as sums over labelled elements.

Sums, because the denominator of a loss is the number of labelled elements of the whole step, over
micro-batches and ranks, which only the caller knows.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from hf_mtl._registry import Registry
from hf_mtl.tasks import IGNORE_INDEX, TaskSuite, labelled_mask

__all__ = ["LOSSES", "CrossEntropy", "Loss", "MeanSquaredError", "task_losses"]


class Loss(ABC):
    """Loss of one task."""

    @abstractmethod
    def total(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum of the loss over the labelled elements: a scalar, 0 if there are none."""


LOSSES: Registry[Loss] = Registry("loss")


def _in_full_precision(logits: Tensor) -> Tensor:
    """Logits in float32 at least: a sum of many terms in bfloat16 loses most of them."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


@LOSSES.register("cross_entropy")
@final
@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Negative log-likelihood of the right class: logits ``[..., C]``, labels ``[...]``.

    Example:
        >>> CrossEntropy().total(torch.zeros(3, 2), torch.tensor([0, 1, -100])) / 2
        tensor(0.6931)
    """

    def total(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(
            _in_full_precision(logits).flatten(end_dim=-2),
            labels.flatten(),
            ignore_index=IGNORE_INDEX,
            reduction="sum",
        )


@LOSSES.register("mse")
@final
@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Squared error: logits ``[B, 1]``, labels ``[B]``, missing where NaN.

    Example:
        >>> labels = torch.tensor([1.0, float("nan")])
        >>> MeanSquaredError().total(torch.tensor([[3.0], [5.0]]), labels)
        tensor(4.)
    """

    def total(self, logits: Tensor, labels: Tensor) -> Tensor:
        mask = labelled_mask(labels)
        # Selected before subtracting: a NaN that is masked afterwards still spoils the gradient.
        predictions = _in_full_precision(logits).squeeze(-1)[mask]
        return (predictions - labels[mask].to(predictions.dtype)).square().sum()


def task_losses(
    suite: TaskSuite,
    logits: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    denominators: Mapping[str, float | Tensor] | None = None,
) -> dict[str, Tensor]:
    """Loss of each task.

    Args:
        suite: The tasks.
        logits: ``[b, C]`` or ``[b, L, C]`` of each task that was run.
        labels: ``[b]`` or ``[b, L]`` of some of them.
        denominators: What each task's sum is divided by; every task of ``labels`` has a loss then,
            0 if no element of it is labelled here. ``None``: its labelled elements; a task without
            any has no loss.
    """
    if denominators is None:
        # Counts are stacked, so that they are fetched from the device at once.
        counts = torch.stack([labelled_mask(tensor).sum() for tensor in labels.values()])
        found = dict(zip(labels, counts.tolist(), strict=True))
        denominators = {task: count for task, count in found.items() if count}
        labels = {task: labels[task] for task in denominators}
    return {
        task: LOSSES.build(suite[task].task_type.loss).total(logits[task], own) / denominators[task]
        for task, own in labels.items()
    }
