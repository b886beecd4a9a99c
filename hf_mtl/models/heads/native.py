# SPDX-License-Identifier: Apache-2.0
"""The head that the backbone's own family puts on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor
from transformers import PreTrainedModel

from hf_mtl.models.backbone import BackboneReplay, genuine_head, sync_pad_token
from hf_mtl.models.heads.base import HEADS, Head, HeadModule
from hf_mtl.tasks import TaskSpec

__all__ = ["Native", "NativeModule"]

# Families whose heads tell the base model which positions to attend from, and the one head of
# theirs that does not. A shared backbone has been run before its heads.
_STEERING = frozenset({"longformer"})
_NOT_STEERING = "AutoModelForTokenClassification"


class NativeModule(HeadModule):
    """Genuine model class whose base model replays what the shared backbone has computed.

    Everything above the base model (pooling, dropout, classifier, which token counts) is the
    family's own code; its loss is not used.

    Args:
        model: Instance of the genuine class with a ``BackboneReplay`` as its base model.
        backbone: The shared backbone. Only its config is kept.
        bypassed: Names of its parameters that the genuine class does not have.
        has_choice_axis: Whether the genuine class reads ``[B, N, L]``. Here each sequence is the
            only choice of its row, so that its logit is its score.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        backbone: PreTrainedModel,
        bypassed: frozenset[str],
        *,
        has_choice_axis: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.backbone_config = backbone.config
        self.bypassed = bypassed
        self.has_choice_axis = has_choice_axis

    def forward(self, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        # Padding may be settled after the head was built: the Trainer aligns it with the tokenizer.
        sync_pad_token(self.backbone_config, self.model.config)
        replay = self.model.base_model
        assert isinstance(replay, BackboneReplay)
        if self.has_choice_axis:
            inputs = {
                name: value.unsqueeze(1) if isinstance(value, Tensor) else value
                for name, value in inputs.items()
            }
        with replay.of(output):
            found = self.model(**inputs)
        # Heads on spans give the logits of first and last positions apart.
        is_span = "start_logits" in found
        logits: Tensor = (
            torch.stack((found.start_logits, found.end_logits), dim=-1) if is_span else found.logits
        )
        return logits


@HEADS.register("native")
@final
@dataclass(frozen=True)
class Native(Head):
    """The head of the backbone family's own ``AutoModelFor...`` class.

    The default: published recipes for a family presume it, and ``to_single_task`` gives a model
    that needs no hf_mtl. Choose ``pooled`` to decide on the pooling yourself, or for a family
    that has no such class.
    """

    is_native: ClassVar[bool] = True

    def build(self, spec: TaskSpec, backbone: PreTrainedModel) -> HeadModule:
        family = backbone.config.model_type
        if family in _STEERING and spec.task_type.auto_model != _NOT_STEERING:
            raise ValueError(
                f"`head` of a {spec.type} task must be another one than 'native' on a {family}, "
                f"whose own heads change what the backbone attends to. Use 'pooled' if the task "
                f"has one answer a row, or another backbone."
            )
        num_outputs = spec.num_outputs
        model, bypassed = genuine_head(spec.task_type.auto_model, backbone, num_outputs)
        has_choice_axis = spec.task_type.has_choice_axis
        return NativeModule(model, backbone, bypassed, has_choice_axis=has_choice_axis)
