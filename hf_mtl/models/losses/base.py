# SPDX-License-Identifier: Apache-2.0
"""What a loss can do, and the registry of losses.

Losses are sums over labelled elements, because what they are divided by is taken over the whole
step, over micro-batches and ranks, which only the caller knows.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from hf_mtl._registry import Registry, entry_name
from hf_mtl.tasks import TaskSpec, TaskSuite, labelled_mask

__all__ = ["LOSSES", "Loss", "check_losses", "in_full_precision", "task_losses", "total_weight"]


class Loss(ABC):
    """Loss of one task: a frozen dataclass whose fields are its config entry.

    Attributes:
        label_kinds: Names of the kinds of label that it can learn from.
    """

    label_kinds: ClassVar[frozenset[str]]

    @abstractmethod
    def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        """Sum of the loss over the labelled elements: a scalar, 0 if there are none.

        Args:
            logits: ``[..., C]``.
            labels: What the kind of label gives for the same rows.
            names: Label names of the task, in the order of their ids.
        """

    def total_weight(self, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        """What the sum is divided by to give a mean: a scalar, the number of labelled elements.

        A loss that weighs elements adds up their weights instead, all of them above 0.

        Args:
            labels: What the kind of label gives.
            names: Label names of the task, in the order of their ids.
        """
        del names
        return labelled_mask(labels).sum()

    def check(self, task: str, spec: TaskSpec) -> None:
        """Raises if this loss cannot serve that task.

        Raises:
            ValueError: If the loss is for other kinds of label.
            KeyError: If it is told of a label that the task does not have.
        """
        kind, own = spec.task_type.labels, LOSSES.name_of(type(self))
        # A type vouches for its own loss, with whatever kind of label.
        if kind not in self.label_kinds and own != entry_name(spec.task_type.loss):
            suited = [name for name in LOSSES.names() if kind in LOSSES.get(name).label_kinds]
            raise ValueError(
                f"`loss` of task {task!r} must suit a {spec.type} task, but got "
                f"{own!r}. Choose from {sorted(suited)}."
            )


LOSSES: Registry[Loss] = Registry("loss")


def in_full_precision(logits: Tensor) -> Tensor:
    """Logits in float32 at least: a sum of many terms in bfloat16 loses most of them."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def check_losses(suite: TaskSuite) -> None:
    """Raises if a task of the suite asks for a loss that is unknown or does not suit it.

    Raises:
        KeyError: If a loss, or a label that it is told of, is unknown.
        TypeError: If a field of a loss is unknown or of a wrong kind.
        ValueError: If a field has a wrong value, or the loss does not suit the task's type.
    """
    for task, spec in suite.items():
        LOSSES.build(spec.loss_entry).check(task, spec)


def total_weight(spec: TaskSpec, labels: Tensor) -> Tensor:
    """What the sum of a task's loss over some labels is divided by to give a mean; 0 for none.

    Args:
        spec: The task.
        labels: Its labels.
    """
    return LOSSES.build(spec.loss_entry).total_weight(labels, spec.labels or ())


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
        labels: ``[b, ...]`` of some of them.
        denominators: What each task's sum is divided by; every task of ``labels`` has a loss then,
            0 if no element of it is labelled here. ``None``: the weight of its labelled elements; a
            task without any has no loss.
    """
    if denominators is None:
        # Stacked, so that they are fetched from the device at once.
        weights = torch.stack([total_weight(suite[task], own) for task, own in labels.items()])
        found = dict(zip(labels, weights.tolist(), strict=True))
        denominators = {task: weight for task, weight in found.items() if weight}
        labels = {task: labels[task] for task in denominators}
    return {
        task: LOSSES.build(suite[task].loss_entry).total(
            logits[task], own, suite[task].labels or ()
        )
        / denominators[task]
        for task, own in labels.items()
    }
