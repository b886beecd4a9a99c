# SPDX-License-Identifier: Apache-2.0
"""One optimizer step: what each loss is divided by, and how losses become one number.

The loss of a task is the mean over its labelled elements of the whole step, and the total is the
weighted mean over the tasks that have any. Both denominators are known before the first backward
pass, so every forward can be followed by its own backward, and only one graph is alive at a time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hf_mtl.tasks import num_labelled

__all__ = ["StepScale", "has_labels", "step_scale", "total_loss"]


@dataclass(frozen=True)
class StepScale:
    """What is known of a step before its first forward.

    Attributes:
        num_labelled: Labelled elements of each task in the whole step; tasks without are absent.
        weights: Share of each task's loss in the total.
    """

    num_labelled: Mapping[str, int]
    weights: Mapping[str, float]


def step_scale(
    micro_batches: Iterable[Mapping[str, Any]], weights: Mapping[str, float]
) -> StepScale:
    """Denominators of a step.

    Args:
        micro_batches: All micro-batches of the step.
        weights: Weight of each task, averaging 1 over the suite.

    Returns:
        The labelled elements of each task, and weights divided by the number of tasks that have
        any: with ``S`` tasks present, a task of weight 1 has a share of ``1 / S``.
    """
    counts: dict[str, int] = {}
    for micro_batch in micro_batches:
        for forward in micro_batch["forwards"]:
            for task, labels in forward["labels"].items():
                counts[task] = counts.get(task, 0) + num_labelled(labels)
    present = {task: count for task, count in counts.items() if count}
    return StepScale(present, {task: weights[task] / len(present) for task in present})


def has_labels(forward: Mapping[str, Any]) -> bool:
    """Whether a forward can give a loss: at least one label is there."""
    return any(num_labelled(labels) for labels in forward["labels"].values())


def total_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weighted sum of the losses of one forward: a scalar.

    Args:
        losses: Loss of each task that has a label in this forward.
        weights: Share of each task in the total.
    """
    return torch.stack([losses[task] * weights[task] for task in losses]).sum()
