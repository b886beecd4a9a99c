# SPDX-License-Identifier: Apache-2.0
"""One class a row."""

from collections.abc import Iterable, Sequence
from typing import Any, final

from torch import Tensor

from hf_mtl.tasks.labels.base import LABELS
from hf_mtl.tasks.labels.class_names import distinct_names, majority_logits
from hf_mtl.tasks.labels.column import RowWords
from hf_mtl.tasks.labels.missing import labelled_mask
from hf_mtl.tasks.labels.one_class import OneClass

__all__ = ["ClassLabel"]


@LABELS.register("class")
@final
class ClassLabel(OneClass):
    """One class out of several for each row, by name or by id."""

    def names_from(self, values: Iterable[Any]) -> tuple[str, ...]:
        return distinct_names(values)

    def num_outputs(self, names: Sequence[str]) -> int:
        return len(names)

    def constant_logits(self, labels: Tensor, num_outputs: int) -> Tensor:
        return majority_logits(labels, num_outputs)

    def pairs(self, logits: Tensor, labels: Tensor) -> tuple[list[int], list[int]]:
        mask = labelled_mask(labels)
        return logits[mask].argmax(dim=-1).tolist(), labels[mask].tolist()

    def answers(
        self, logits: Tensor, names: Sequence[str], words: RowWords | None = None
    ) -> list[dict[str, Any]]:
        del words
        scores, indices = logits.float().softmax(dim=-1).max(dim=-1)
        return [
            {"label": names[index], "score": score}
            for index, score in zip(indices.tolist(), scores.tolist(), strict=True)
        ]
