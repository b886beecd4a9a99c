# SPDX-License-Identifier: Apache-2.0
"""Metrics of the spans that word labels spell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities

from hf_mtl.evaluation.metrics.base import METRICS, Metric
from hf_mtl.tasks import TaskSpec

__all__ = ["EntityF1"]

_PREFIXES = frozenset("BIES")


@METRICS.register("entity_f1")
@final
@dataclass(frozen=True)
class EntityF1(Metric):
    """F1 of whole entities: an entity counts if its type and both its borders are right.

    The labels must spell entities: ``O`` outside, ``B-`` and ``I-`` with the type inside (``E-``
    and ``S-`` where a scheme has them). It is not defined where there is no entity at all. Words
    after the cut at ``max_length`` are not judged.

    Source:
        Tjong Kim Sang and De Meulder, Introduction to the CoNLL-2003 shared task, as implemented
        by seqeval, whose lenient mode equals the shared task's own script.
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"token_class"})
    greater_is_better: ClassVar[bool] = True

    def problem_with(self, spec: TaskSpec) -> str | None:
        others = [label for label in spec.labels or () if not _spells_entities(label)]
        if others and spec.task_type.labels in self.label_kinds:
            return (
                f"must suit the task's labels, but 'entity_f1' needs 'O', 'B-...' and 'I-...', and "
                f"{others[:5]} are of another form. Choose 'accuracy' or 'f1_macro'."
            )
        return super().problem_with(spec)

    def compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        labels: Sequence[str] | None = None,
    ) -> float:
        if labels is None or not all(map(_spells_entities, labels)):
            raise ValueError(
                f"`labels` must be 'O', 'B-...' and 'I-...' for 'entity_f1', but got {labels}. "
                f"Choose 'accuracy' or 'f1_macro'."
            )
        predicted = [[labels[index] for index in row] for row in predictions]
        right = [[labels[index] for index in row] for row in references]
        if not get_entities(predicted) and not get_entities(right):
            return float("nan")
        return float(f1_score(right, predicted, zero_division=0))


def _spells_entities(label: str) -> bool:
    return label == "O" or (label[:1] in _PREFIXES and label[1:2] == "-")
