# SPDX-License-Identifier: Apache-2.0
"""Likelihood of where an answer begins and ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl.models.losses.base import LOSSES, Loss, in_full_precision
from hf_mtl.tasks import labelled_mask

__all__ = ["SpanCrossEntropy"]


@LOSSES.register("span_cross_entropy")
@final
@dataclass(frozen=True)
class SpanCrossEntropy(Loss):
    """Negative log-likelihood of the first and of the last position of an answer, their mean.

    Logits ``[B, L, 2]``, labels ``[B, L]`` as ``AnswerSpan`` gives them. Only positions that an
    answer can have take part: neither the question nor padding, so that a row's loss does not
    depend on its neighbours in the batch. A row is one element.

    Example:
        >>> labels = torch.tensor([[0, -100, 1, 2], [-100] * 4])
        >>> SpanCrossEntropy().total(torch.zeros(2, 4, 2), labels)  # one of three positions
        tensor(1.0986)

    Source:
        Devlin et al. 2019, "BERT", section 4.2, https://arxiv.org/abs/1810.04805. There every
        position takes part, padding as well.
    """

    label_kinds: ClassVar[frozenset[str]] = frozenset({"answer_span"})

    def total(self, logits: Tensor, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        del names
        known = labelled_mask(labels)
        rows = known.any(dim=1)
        logits, labels, known = in_full_precision(logits)[rows], labels[rows], known[rows]
        log_odds = logits.masked_fill(~known[..., None], -torch.inf).log_softmax(dim=1)
        # 1 is the first position, 2 the last one, 3 both.
        marks = labels.clamp(min=0)[..., None] & torch.tensor([1, 2], device=labels.device)
        return -log_odds[marks > 0].sum() / 2

    def total_weight(self, labels: Tensor, names: Sequence[str] = ()) -> Tensor:
        del names
        return labelled_mask(labels).any(dim=1).sum()
