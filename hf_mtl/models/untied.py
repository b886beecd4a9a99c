# SPDX-License-Identifier: Apache-2.0
"""Heads that families tie to their embeddings, with weights of their own.

The embeddings are the backbone's, which all tasks share: a head that was tied to them would have a
gradient on shared parameters that no engine, strategy or adapter expects of a head.
"""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

__all__ = ["drop_unread", "is_tied", "start_untied"]


def is_tied(model_class: type[PreTrainedModel] | None) -> bool:
    """Whether a class ties weights of its head to those of its base model."""
    if model_class is None:
        return False
    prefix = f"{model_class.base_model_prefix}."
    return any(
        not own.startswith(prefix) and other.startswith(prefix)
        for own, other in _tied(model_class).items()
    )


def start_untied(head: PreTrainedModel, backbone: nn.Module) -> None:
    """Gives the weights that a family ties to its embeddings the values of these.

    Args:
        head: The head.
        backbone: The shared backbone.
    """
    theirs, prefix = dict(backbone.named_parameters()), f"{head.base_model_prefix}."
    with torch.no_grad():
        for name, other in _tied(head).items():
            if other.startswith(prefix) and not name.startswith(prefix):
                head.get_parameter(name).copy_(theirs[other.removeprefix(prefix)])


def drop_unread(head: PreTrainedModel) -> None:
    """Makes buffers of those parameters of a head that nothing reads where it is not tied.

    A parameter that never has a gradient is refused by some strategies.
    """
    own = dict(head.named_parameters(remove_duplicate=False))
    for other in own.keys() & set(_tied(head).values()):
        path, _, name = other.rpartition(".")
        module = head.get_submodule(path)
        delattr(module, name)
        module.register_buffer(name, own[other].detach())


def _tied(model: Any) -> dict[str, str]:
    """Names of tied parameters, each with that of the parameter that it is tied to."""
    return dict(getattr(model, "_tied_weights_keys", None) or {})
