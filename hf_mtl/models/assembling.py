# SPDX-License-Identifier: Apache-2.0
"""From models of one task each to the parts of one model: a merged backbone, and their heads."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from hf_mtl._typing import Entry
from hf_mtl.models.backbone import copy_tensors
from hf_mtl.models.heads import NativeModule
from hf_mtl.models.likeness import check_base, check_same_architecture, check_same_vocabulary
from hf_mtl.models.loading import new_backbone, pretrained_tensors
from hf_mtl.models.merging import MERGING_METHODS
from hf_mtl.models.single_tasks import SingleTask

__all__ = ["merged_backbone", "take_head"]


def merged_backbone(singles: Mapping[str, SingleTask], entry: Entry) -> PreTrainedModel:
    """One backbone out of those of several models, with memory of its own.

    Buffers, such as the statistics of batch norms, are those of the first model.

    Args:
        singles: Models by task.
        entry: Entry of the merging method.

    Raises:
        KeyError: If the merging method is unknown.
        TypeError: If a field of it is unknown or missing.
        ValueError: If a field is out of range, or the models do not go together.
    """
    method = MERGING_METHODS.build(entry)
    models = {task: single.model for task, single in singles.items()}
    check_same_architecture(models)
    check_same_vocabulary(models)
    task, first = next(iter(models.items()))
    start: dict[str, Tensor] = {}
    if method.start is not None:
        base, start = pretrained_tensors(method.start)
        check_base(base, task, first.config)
    with first.device:
        backbone = new_backbone(_backbone_config(first.config), dtype=first.dtype)
    copy_tensors(first.base_model, backbone)
    with torch.no_grad():
        merged = method.merge(
            [
                _on(first.device, dict(model.base_model.named_parameters()))
                for model in models.values()
            ],
            _on(first.device, start),
        )
        for name, parameter in backbone.named_parameters():
            if name in merged:
                parameter.copy_(merged[name])
    return backbone


def _on(device: torch.device, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().to(device) for name, value in tensors.items()}


def _backbone_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """Config of a model without what it says about its task."""
    config = copy.deepcopy(config)
    config.architectures = None
    config.problem_type = None
    config.num_labels = 2  # what a config has that says nothing; the label names go with it
    return config


def take_head(task: str, head: nn.Module, single: SingleTask) -> None:
    """Gives a native head the weights of a model of one task.

    Raises:
        ValueError: If the head of that model has another form.
    """
    assert isinstance(head, NativeModule)
    theirs = dict(single.model.named_parameters(remove_duplicate=False))
    for name, parameter in head.model.named_parameters():
        found = list(theirs[name].shape) if name in theirs else None
        if found != list(parameter.shape):
            raise ValueError(
                f"`models` must have heads of the size of their tasks, but {name} of {task!r} has "
                f"the shape {found} where a {single.spec.type} task with {single.spec.num_outputs} "
                f"outputs needs {list(parameter.shape)}. Give its type and its labels in `tasks`."
            )
    copy_tensors(single.model, head.model)
