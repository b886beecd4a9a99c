# SPDX-License-Identifier: Apache-2.0
"""A head that pools the hidden states of a row and classifies the result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hf_mtl._checks import check_known
from hf_mtl.models.backbone import hidden_size, initializer_range, is_meta, pooler_parameters
from hf_mtl.models.heads.base import HEADS, Head, HeadModule
from hf_mtl.models.pooling import POOLINGS
from hf_mtl.tasks import TaskSpec

__all__ = ["Pooled", "PooledModule"]


class PooledModule(HeadModule):
    """Pooling over the real tokens of a row, dropout, one linear layer.

    Args:
        pooling: Name of the pooling.
        dropout: Probability of dropout.
        classifier: Linear layer ``D -> C``.
        bypassed: Names of backbone parameters that hidden states do not depend on.
    """

    def __init__(
        self, pooling: str, dropout: float, classifier: nn.Linear, bypassed: frozenset[str]
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.classifier = classifier
        self.bypassed = bypassed

    def forward(self, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        hidden: Tensor = output[0]
        mask = inputs.get("attention_mask")
        if mask is None:
            mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
        pooled = POOLINGS[self.pooling](hidden, mask)
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits


@HEADS.register("pooled")
@final
@dataclass(frozen=True)
class Pooled(Head):
    """One linear layer on the pooled hidden states of a row; for tasks with one answer a row.

    Args:
        pooling: ``"cls"`` (first real token), ``"mean"``, ``"max"``, or ``"last"`` (last real
            token, for decoders).
        dropout: Probability of dropout before the linear layer, in [0, 1).

    Raises:
        KeyError: If the pooling is unknown.
        ValueError: If the dropout is out of range.
    """

    pooling: str = "mean"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_known("pooling", self.pooling, POOLINGS)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be at least 0 and below 1, but got {self.dropout}.")

    def check(self, task: str, spec: TaskSpec) -> None:
        if spec.task_type.level != "sequence":
            raise ValueError(
                f"`head` of task {task!r} must give one output for each {spec.task_type.level}, "
                f"but 'pooled' gives one for each row. Use 'native'."
            )

    def build(self, spec: TaskSpec, backbone: PreTrainedModel) -> HeadModule:
        size = hidden_size(backbone.config)
        num_outputs = spec.num_outputs
        classifier = nn.Linear(size, num_outputs, dtype=backbone.dtype)
        if not is_meta(classifier):
            nn.init.normal_(classifier.weight, std=initializer_range(backbone.config))
            nn.init.zeros_(classifier.bias)
            classifier.to(backbone.device)
            # Else post_init of the whole model would initialise it again.
            classifier._is_hf_initialized = True  # type: ignore[assignment]
        return PooledModule(self.pooling, self.dropout, classifier, pooler_parameters(backbone))
