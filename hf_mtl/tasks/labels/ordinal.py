# SPDX-License-Identifier: Apache-2.0
"""One of several ordered classes a row."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor
from torch.nn.functional import pad

from hf_mtl.tasks.labels.base import LABELS, ProblemType
from hf_mtl.tasks.labels.class_names import distinct_names, is_number
from hf_mtl.tasks.labels.column import RowWords
from hf_mtl.tasks.labels.missing import labelled_mask
from hf_mtl.tasks.labels.one_class import OneClass

__all__ = ["Ordinal"]


@LABELS.register("ordinal")
@final
class Ordinal(OneClass):
    """One of several classes that have an order, from the lowest to the highest.

    Output ``k`` is the logit of being above grade ``k``, given that it is not below. A row is above
    ``k`` with the product of these probabilities up to ``k``, which falls with ``k``; its grade is
    the number of grades that it is more likely above than not.

    Source:
        Shi, Cao and Raschka 2021, "Deep Neural Networks for Rank-Consistent Ordinal Regression
        Based On Conditional Probabilities", https://arxiv.org/abs/2111.08851.
    """

    # Several yes-or-no questions, which is what the outputs are.
    problem_type: ClassVar[ProblemType] = "multi_label_classification"

    def names_from(self, values: Iterable[Any]) -> tuple[str, ...]:
        names = distinct_names(values)
        if words := [name for name in names if not is_number(name)]:
            raise ValueError(
                f"`labels` must be given for grades that are no numbers, lowest first, because "
                f"their order is not to be seen, but got none for {words}."
            )
        return names

    def num_outputs(self, names: Sequence[str]) -> int:
        return max(1, len(names) - 1)

    def output_names(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(f"above {name}" for name in names[: self.num_outputs(names)])

    def constant_logits(self, labels: Tensor, num_outputs: int) -> Tensor:
        known = labels[labelled_mask(labels)]
        grades = torch.arange(num_outputs)
        return torch.where(known.median() > grades, 20.0, -20.0).double()

    def pairs(self, logits: Tensor, labels: Tensor) -> tuple[list[int], list[int]]:
        mask = labelled_mask(labels)
        grades = (_above(logits[mask]) > 0.5).sum(dim=-1)
        return grades.tolist(), labels[mask].tolist()

    def answers(
        self, logits: Tensor, names: Sequence[str], words: RowWords | None = None
    ) -> list[dict[str, Any]]:
        del words
        above = _above(logits)
        grades = (above > 0.5).sum(dim=-1).tolist()
        # A row has a grade if it is above the one before, and not above this one.
        edges = pad(pad(above, (1, 0), value=1.0), (0, 1), value=0.0)
        shares = (edges[:, :-1] - edges[:, 1:]).tolist()
        return [
            {"label": names[grade], "score": share[grade]}
            for grade, share in zip(grades, shares, strict=True)
        ]


def _above(logits: Tensor) -> Tensor:
    """Probability of being above each grade but the highest: ``[B, C - 1] -> [B, C - 1]``."""
    return logits.float().sigmoid().cumprod(dim=-1)
