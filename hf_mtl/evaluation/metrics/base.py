# SPDX-License-Identifier: Apache-2.0
"""What a metric can do, and the registry of metrics."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from hf_mtl._registry import Registry
from hf_mtl.tasks import TaskSpec

__all__ = ["METRICS", "Metric"]


class Metric(ABC):
    """One number for how well the labelled rows of a task were predicted.

    A metric that is not defined on what it is given (a correlation with a constant, say) is NaN,
    without a warning; reports show it as missing. The order of the rows is irrelevant.

    Attributes:
        label_kinds: Names of the kinds of label that it can judge.
        greater_is_better: Whether a larger value is the better one.
        best: Value of perfect predictions.
    """

    label_kinds: ClassVar[frozenset[str]]
    best: ClassVar[float] = 1.0

    @property
    @abstractmethod
    def greater_is_better(self) -> bool:
        """Whether a larger value is the better one; a plain class attribute in most metrics."""

    @property
    def reported_name(self) -> str:
        """Name of the value in reports, as in ``eval_{task}_{reported_name}``."""
        return METRICS.name_of(type(self))

    def problem_with(self, spec: TaskSpec) -> str | None:
        """Why this metric cannot judge a task, in words for the user; ``None`` if it can."""
        kind = spec.task_type.labels
        if kind in self.label_kinds:
            return None
        suited = [name for name in METRICS.names() if kind in METRICS.get(name).label_kinds]
        return (
            f"must suit a {spec.type} task, but got {self.reported_name!r}. "
            f"Choose from {sorted(suited)}."
        )

    @abstractmethod
    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        """Value of the metric.

        Args:
            predictions: One entry a labelled row, as ``LabelKind.pairs`` gives them: a class id, a
                number, or the class ids of the labelled words.
            references: What is right, in the same form.
            labels: Label names in the order of their ids; ``None`` for numbers.
        """


METRICS: Registry[Metric] = Registry("metric")
