# SPDX-License-Identifier: Apache-2.0
"""What a model has to beat: one answer for every row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_mtl.evaluation.collection import TaskPredictions, whole_rows, window_predictions
from hf_mtl.evaluation.scores import task_scores
from hf_mtl.tasks import TaskSuite, TracedLabelKind, labelled_mask

if TYPE_CHECKING:
    from hf_mtl.data import SourceCollection

__all__ = ["constant_baseline"]


def constant_baseline(
    suite: TaskSuite, train: "SourceCollection", test: "SourceCollection"
) -> dict[str, dict[str, float]]:
    """Metrics of the best constant answer: the majority class or tag, or the mean of the scores.

    Tasks on a stream have none, because its rows are not known ahead.

    Args:
        suite: The tasks.
        train: Rows that the answer is taken from.
        test: Rows that it is judged on.

    Returns:
        Value of each metric, by task.

    Raises:
        ValueError: If a task has no labelled row.
    """
    return {
        task: task_scores(suite, task, _constant_predictions(suite, task, known, test))
        for task in suite
        if (known := train.labels(task)) is not None
    }


def _constant_predictions(
    suite: TaskSuite, task: str, train_labels: Sequence[Any], test: "SourceCollection"
) -> TaskPredictions:
    kind = suite[task].task_type.label_kind
    known = kind.collate(train_labels, None, "right")
    test_labels = test.labels(task) or ()
    labels = kind.collate(test_labels, None, "right")
    if not labelled_mask(known).any():
        raise ValueError(
            f"Task {task!r} must have labelled rows to train on, but has none. Check the column "
            f"of its labels, or leave the task out."
        )
    answer = kind.constant_logits(known, suite[task].num_outputs)
    rows = labels.shape if kind.per_token else labels.shape[:1]
    traces = None
    if isinstance(kind, TracedLabelKind):
        traces = kind.traces(test_labels, None, "right")
    return whole_rows(kind, window_predictions(kind, answer.expand(*rows, -1), labels, traces))
