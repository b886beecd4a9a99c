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

__all__ = ["StepScale", "check_some_label", "present_labels", "step_scale", "total_loss"]


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
        any: with ``S`` tasks present, a task of weight 1 has a share of ``1 / S``. A task of weight
        0 is absent: its head is not to be moved, by momentum or weight decay either.
    """
    counts: dict[str, int] = {}
    for micro_batch in micro_batches:
        for forward in micro_batch["forwards"]:
            for task, labels in forward["labels"].items():
                counts[task] = counts.get(task, 0) + num_labelled(labels)
    present = {task: count for task, count in counts.items() if count and weights[task]}
    return StepScale(present, {task: weights[task] / len(present) for task in present})


def check_some_label(scale: StepScale, step: int) -> None:
    """Raises ``ValueError`` if a step has no label at all, which a gradient scaler cannot bear."""
    if not scale.num_labelled:
        raise ValueError(
            f"`fp16` must have a label in every step, because its scaler cannot pass over a step, "
            f"but step {step} has none. Use `bf16`, draw more in a step with `tasks_per_step`, or "
            f"remove rows without labels."
        )


def present_labels(forward: Mapping[str, Any], scale: StepScale) -> dict[str, Tensor]:
    """Labels of one forward that give a loss; empty if the forward has nothing to learn.

    Args:
        forward: The forward.
        scale: What is known of its step.
    """
    return {
        task: labels
        for task, labels in forward["labels"].items()
        if task in scale.weights and num_labelled(labels)
    }


def total_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weighted sum of the losses of one forward: a scalar.

    Args:
        losses: Loss of each task that has a label in this forward.
        weights: Share of each task in the total.
    """
    return torch.stack([losses[task] * weights[task] for task in losses]).sum()
