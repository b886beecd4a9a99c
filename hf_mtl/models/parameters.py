# SPDX-License-Identifier: Apache-2.0
"""Whose the parameters of a model are, and how many they are, whoever holds them."""

import re
from typing import TYPE_CHECKING, cast

from torch import nn

from hf_mtl.models.backbone import pooler_parameters

if TYPE_CHECKING:
    from hf_mtl.models.heads import HeadModule
    from hf_mtl.models.modeling import MultiTaskModel

__all__ = [
    "layer_of",
    "layer_shares",
    "num_parameters",
    "partly_used_parameters",
    "task_of",
    "tasks_with_pooler",
]

_LAYER = re.compile(r"^(.*?)\.(\d+)\.")


def layer_of(name: str) -> tuple[str, int] | None:
    """Stack of layers that a parameter belongs to, and its layer; ``None`` for one outside.

    Args:
        name: Name of the parameter.

    Example:
        >>> layer_of("backbone.encoder.layer.3.output.dense.weight")
        ('backbone.encoder.layer', 3)
    """
    found = _LAYER.match(name)
    return (found[1], int(found[2])) if found else None


def layer_shares(backbone: nn.Module, decay: float) -> dict[str, float]:
    """Share of the learning rate that each parameter of a backbone gets, by its name.

    1 for what comes behind the layers, ``decay`` for the last layer, and so on down to
    ``decay ** (L + 1)`` for the embeddings below ``L`` layers. Several stacks of layers are counted
    each for itself. Source: Clark et al. 2020 (ELECTRA), https://arxiv.org/abs/2003.10555; the
    exponents are those of Bao et al. 2021 (BEiT), https://arxiv.org/abs/2106.08254.

    Args:
        backbone: The backbone.
        decay: Share of a layer in the rate of the next one.
    """
    names = [name for name, _ in backbone.named_parameters()]
    layers: dict[str, set[int]] = {}
    for stack, layer in filter(None, map(layer_of, names)):
        layers.setdefault(stack, set()).add(layer)
    deepest = max(map(len, layers.values()), default=0)
    embeddings = {
        f"{name}.weight"
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Embedding)
    }
    shares = {}
    is_below = True
    for name in names:
        if place := layer_of(name):
            is_below = False
            above = sum(layer >= place[1] for layer in layers[place[0]])
            shares[name] = decay**above
        else:
            shares[name] = decay ** (deepest + 1) if is_below or name in embeddings else 1.0
    return shares


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
    """Trained parameters of a backbone that some tasks give no gradient, by name.

    Such as a pooler, which is of no use to tasks on words; with a detached task all of them.

    Args:
        model: The multi-task model.
    """
    heads = cast("nn.ModuleDict", model.heads)
    bypassed = {name for head in heads.values() for name in cast("HeadModule", head).bypassed}
    suite = cast("MultiTaskModel", model).suite
    is_probed = any(spec.detached for spec in suite.values())
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
        and (name.removeprefix("backbone.") in bypassed or (is_probed and task_of(name) is None))
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
