# SPDX-License-Identifier: Apache-2.0
"""A head whose classes are decided one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hf_mtl.models.backbone import is_meta
from hf_mtl.models.heads.base import HEADS, Head, HeadModule
from hf_mtl.models.heads.pooled import Pooled
from hf_mtl.tasks import TaskSpec

__all__ = ["Chain", "ChainModule"]


class Links(nn.Module):
    """Moves the logit of each class by the probabilities of the classes before it.

    Args:
        num_classes: Classes ``C``.
        dtype: Of the parameters, which begin at 0: at first every class is by itself.
    """

    def __init__(self, num_classes: int, dtype: torch.dtype) -> None:
        super().__init__()
        # Row by row: what leads to a class. Only what is below the diagonal is used.
        self.weight = nn.Parameter(torch.zeros(num_classes, num_classes, dtype=dtype))

    def forward(self, alone: Tensor) -> Tensor:
        """Logits of classes that see those before them: ``[B, C] -> [B, C]``."""
        logits: list[Tensor] = []
        before = alone[:, :0]
        for index in range(alone.shape[-1]):
            logits.append(alone[:, index] + before @ self.weight[index, :index])
            before = torch.cat([before, logits[-1].sigmoid()[:, None]], dim=-1)
        return torch.stack(logits, dim=-1)


class ChainModule(HeadModule):
    """Logits of a pooled head, linked to a chain.

    Args:
        pooled: Gives the logits that each class would have by itself.
        links: Links them.
    """

    def __init__(self, pooled: HeadModule, links: Links) -> None:
        super().__init__()
        self.pooled = pooled
        self.links = links
        self.bypassed = pooled.bypassed

    def forward(self, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        logits: Tensor = self.links(self.pooled(output, inputs))
        return logits


@HEADS.register("chain")
@final
@dataclass(frozen=True)
class Chain(Head):
    """A classifier chain: each class sees the pooled row and the classes before it.

    For multi-label tasks whose classes go together or exclude each other. The order is that of the
    label names: what is easy to tell should come first.

    Args:
        pooling: As of ``pooled``.
        dropout: As of ``pooled``.

    Raises:
        KeyError: If the pooling is unknown.
        ValueError: If the dropout is out of range.

    Source:
        Read et al. 2011, "Classifier chains for multi-label classification", Machine Learning 85.
        They feed in the right answers in training and the decisions afterwards; here it is the
        model's own probabilities in both, so that it learns from what it will see.
    """

    pooling: str = "mean"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        self._pooled()

    def check(self, task: str, spec: TaskSpec) -> None:
        if spec.task_type.labels != "class_set":
            raise ValueError(
                f"`head` of task {task!r} must suit a {spec.type} task, but 'chain' is for tasks "
                f"with any number of classes a row. Use 'native' or 'pooled'."
            )

    def build(self, spec: TaskSpec, backbone: PreTrainedModel) -> HeadModule:
        links = Links(spec.num_outputs, backbone.dtype)
        if not is_meta(links):
            links.to(backbone.device)
            # Else post_init of the whole model would initialise it again.
            links._is_hf_initialized = True  # type: ignore[assignment]
        return ChainModule(self._pooled().build(spec, backbone), links)

    def _pooled(self) -> Pooled:
        return Pooled(self.pooling, self.dropout)
