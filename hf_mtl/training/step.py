# SPDX-License-Identifier: Apache-2.0
"""One optimizer step: what each loss is divided by, and how losses become one number.

The loss of a task is the mean over its labelled elements of the whole step, over micro-batches and
ranks, and the total is the weighted mean over the tasks that have any. Both denominators are known
before the first backward pass, so every forward can be followed by its own backward, and only one
graph is alive at a time. All ranks run the same forwards with the same heads.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hf_mtl.tasks import num_labelled
from hf_mtl.training.ranks import Ranks

Weigh = Callable[[str, Tensor], float]

__all__ = ["Step", "StepScale", "check_some_label", "plan_step", "total_loss"]


@dataclass(frozen=True)
class StepScale:
    """What is known of a step before its first forward.

    Attributes:
        denominators: What the sum of each task's loss is divided by: the weight of its labelled
            elements in the whole step, which is their number if they count alike. Tasks without
            are absent.
        weights: Share of each task's loss in the total.
    """

    denominators: Mapping[str, float]
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Step:
    """One optimizer step of this rank.

    Attributes:
        forwards: Its forwards, as ``hf_mtl.data`` makes them, with labels only of tasks that some
            rank has a label for, and the number of the ``micro_batch`` that each is of, from 0. On
            every rank as many, for the same tasks in the same order.
        scale: What is known of it before the first of them.
    """

    forwards: Sequence[Mapping[str, Any]]
    scale: StepScale

    def without(self, tasks: Collection[str], weights: Mapping[str, float]) -> "Step":
        """The step without some tasks, as if they had no label.

        Args:
            tasks: Those that are left out.
            weights: Weight of each task, averaging 1 over the suite.
        """
        left = {task: n for task, n in self.scale.denominators.items() if task not in tasks}
        forwards = [_with_labels_of(forward, left) for forward in self.forwards]
        return Step([each for each in forwards if each["labels"]], _scale(left, weights))


def plan_step(
    micro_batches: Iterable[Mapping[str, Any]],
    weights: Mapping[str, float],
    ranks: Ranks,
    *,
    weigh: Weigh = lambda task, labels: float(num_labelled(labels)),
) -> Step:
    """A step of its micro-batches, with denominators over all ranks.

    Args:
        micro_batches: All micro-batches of the step on this rank.
        weights: Weight of each task, averaging 1 over the suite.
        ranks: The ranks of the run.
        weigh: Weight of the labelled elements of a task, given its labels.

    Returns:
        Forwards that have something to learn on some rank; the denominator of each task, and
        weights divided by the number of tasks that have any: with ``S`` tasks present, a task of
        weight 1 has a share of ``1 / S``. A task of weight 0 is absent: its head is not to be
        moved, by momentum or weight decay either.
    """
    forwards = [
        {**forward, "micro_batch": number}
        for number, batch in enumerate(micro_batches)
        for forward in batch["forwards"]
    ]
    own = [weigh(*item) for forward in forwards for item in forward["labels"].items()]
    found = iter(ranks.sum(own))
    totals: dict[str, float] = {}
    kept = []
    for forward in forwards:
        by_task = {task: next(found) for task in forward["labels"]}
        present = {task for task, weight in by_task.items() if weight and weights[task]}
        for task in present:
            totals[task] = totals.get(task, 0.0) + by_task[task]
        if present:
            kept.append(_with_labels_of(forward, present))
    # In the order of the suite, so that every rank adds up in the same order.
    denominators = {task: totals[task] for task in weights if task in totals}
    return Step(kept, _scale(denominators, weights))


def check_some_label(step: Step, number: int) -> None:
    """Raises ``ValueError`` if a step has no label at all, which a gradient scaler cannot bear."""
    if not step.forwards:
        raise ValueError(
            f"`fp16` must have a label in every step, because its scaler cannot pass over a step, "
            f"but step {number} has none. Use `bf16`, draw more in a step with `tasks_per_step`, "
            f"or remove rows without labels."
        )


def total_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weighted sum of the losses of one forward: a scalar.

    Args:
        losses: Loss of each task of this forward.
        weights: Share of each task in the total.
    """
    return torch.stack([losses[task] * weights[task] for task in losses]).sum()


def _scale(denominators: Mapping[str, float], weights: Mapping[str, float]) -> StepScale:
    shares = {task: weights[task] / len(denominators) for task in denominators}
    return StepScale(denominators, shares)


def _with_labels_of(forward: Mapping[str, Any], tasks: Collection[str]) -> Mapping[str, Any]:
    """A forward with the labels of some tasks only, in the order that they have there."""
    labels = {task: each for task, each in forward["labels"].items() if task in tasks}
    return {**forward, "labels": labels}
