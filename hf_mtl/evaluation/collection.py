# SPDX-License-Identifier: Apache-2.0
"""What a model predicts on a data set, next to what is right."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from hf_mtl.models.losses import total_weight
from hf_mtl.models.prediction import evaluation_mode
from hf_mtl.tasks import LabelKind, TracedLabelKind

if TYPE_CHECKING:
    from hf_mtl.models import MultiTaskModel

__all__ = ["TaskPredictions", "collect", "whole_rows", "window_predictions"]


@dataclass
class TaskPredictions:
    """Predictions and references of one task's labelled rows.

    Args:
        predictions: One entry a labelled row, as ``LabelKind.pairs`` gives them. A row that was
            cut into windows is one entry.
        references: What is right, in the same form.
        loss_sum: Sum of the loss over all labelled elements.
        weight: What the sum is divided by: how many elements are labelled (rows, or words), or
            what they weigh.
    """

    predictions: list[Any] = field(default_factory=list)
    references: list[Any] = field(default_factory=list)
    loss_sum: float = 0.0
    weight: float = 0.0

    def extend(self, more: "TaskPredictions") -> None:
        """Adds predictions of more rows."""
        self.predictions += more.predictions
        self.references += more.references
        self.loss_sum += more.loss_sum
        self.weight += more.weight

    @property
    def loss(self) -> float:
        """Mean of the loss over the labelled elements."""
        return self.loss_sum / self.weight


def collect(
    model: "MultiTaskModel",
    dataloader: Iterable[Mapping[str, Any]],
    *,
    forward_context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    gather: Callable[[Any], Sequence[Any]] = lambda own: [own],
) -> dict[str, TaskPredictions]:
    """Runs a model over batches, without gradients and dropout, and gathers what it predicts.

    Args:
        model: The model; each of its modules is left in the mode (training or not) that it is
            found in.
        dataloader: Batches as ``hf_mtl.data`` makes them. They may lie on another device.
        forward_context: Makes the context of each forward pass, such as mixed precision.
        gather: Gives what every rank hands over, in the order of the ranks. By default there is
            one rank.

    Returns:
        Predictions of every task that the batches have labels for; rows in the order of the
        batches, of each batch those of the first rank first. The same on every rank.
    """
    with evaluation_mode(model):
        own = [
            _batch_predictions(model, forward, forward_context)
            for batch in dataloader
            for forward in batch["forwards"]
        ]
    collected: defaultdict[str, TaskPredictions] = defaultdict(TaskPredictions)
    for parts in zip(*gather(own), strict=True):
        for part in parts:
            for task, predictions in part.items():
                collected[task].extend(predictions)
    return {
        task: whole_rows(model.suite[task].task_type.label_kind, found)
        for task, found in collected.items()
    }


def window_predictions(
    kind: LabelKind, logits: Tensor, labels: Tensor, traces: Sequence[Any] | None
) -> TaskPredictions:
    """Predictions of some labelled rows; of windows, where a row was cut into such.

    Args:
        kind: The kind of label.
        logits: Of the rows or windows.
        labels: Likewise.
        traces: What the windows came from, for kinds that have such.
    """
    if isinstance(kind, TracedLabelKind):
        return TaskPredictions(*kind.pairs(logits, labels, traces))
    return TaskPredictions(*kind.pairs(logits, labels))


def whole_rows(kind: LabelKind, found: TaskPredictions) -> TaskPredictions:
    """Predictions of whole rows, made of those of all their windows on all ranks.

    Args:
        kind: The kind of label.
        found: What ``window_predictions`` gave, for all of them.
    """
    if not isinstance(kind, TracedLabelKind):
        return found
    predictions, references = kind.joined(found.predictions, found.references)
    return replace(found, predictions=predictions, references=references)


def _batch_predictions(
    model: "MultiTaskModel",
    forward: Mapping[str, Any],
    forward_context: Callable[[], AbstractContextManager[Any]],
) -> dict[str, TaskPredictions]:
    """What the model predicts on the rows of one forward pass."""
    inputs, labels, rows = (
        {name: tensor.to(model.device) for name, tensor in (forward[part] or {}).items()}
        for part in ("inputs", "labels", "rows")
    )
    with forward_context():
        output = model(labels=labels, rows=rows or None, **inputs)
    found = {}
    for task, task_labels in labels.items():
        kind, traces = model.suite[task].task_type.label_kind, forward.get("traces", {}).get(task)
        predictions = window_predictions(kind, output.logits[task].cpu(), task_labels.cpu(), traces)
        if task in output.losses:
            predictions.weight = float(total_weight(model.suite[task], task_labels))
            predictions.loss_sum = float(output.losses[task]) * predictions.weight
        found[task] = predictions
    return found
