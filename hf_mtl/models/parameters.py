# SPDX-License-Identifier: Apache-2.0
"""Whose the parameters of a model are, and how many they are, whoever holds them."""

from typing import TYPE_CHECKING, cast

from torch import nn

from hf_mtl.models.backbone import pooler_parameters

if TYPE_CHECKING:
    from hf_mtl.models.heads import HeadModule
    from hf_mtl.models.modeling import MultiTaskModel

__all__ = ["num_parameters", "partly_used_parameters", "task_of", "tasks_with_pooler"]


def num_parameters(model: nn.Module, *, trainable: bool = False) -> int:
    """Elements of the parameters of a model, also where ranks hold a part of each.

    A parameter that ZeRO-3 has split looks empty, and says its own size.

    Args:
        model: The model, or a part of it.
        trainable: Whether only those count that are trained.
    """
    return sum(
        int(getattr(parameter, "ds_numel", parameter.numel()))
        for parameter in model.parameters()
        if parameter.requires_grad or not trainable
    )


def partly_used_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Trained parameters of a backbone that the logits of some heads do not depend on, by name.

    Such as a pooler, which is of no use to tasks on words.

    Args:
        model: The multi-task model.
    """
    heads = cast("nn.ModuleDict", model.heads)
    bypassed = {name for head in heads.values() for name in cast("HeadModule", head).bypassed}
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and name.removeprefix("backbone.") in bypassed
    }


def task_of(name: str) -> str | None:
    """Task whose head holds a parameter or buffer; ``None`` for those that all tasks share.

    Args:
        name: Its name in the model.
    """
    parts = name.split(".", maxsplit=2)
    return parts[1] if parts[0] == "heads" and len(parts) == 3 else None


def tasks_with_pooler(model: "MultiTaskModel") -> list[str]:
    """Tasks whose logits depend on the pooler of the backbone's own family, if it has one.

    Args:
        model: The multi-task model.
    """
    pooler = pooler_parameters(model.backbone)
    return [
        task
        for task, head in model.heads.items()
        if not pooler <= cast("HeadModule", head).bypassed
    ]
