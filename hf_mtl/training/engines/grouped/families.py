# SPDX-License-Identifier: Apache-2.0
"""Which layers can form their gradients by task, and how.

The only module that knows classes of transformers. It knows them by full name rather than by
import, because their modules may move without notice: a class that has moved is not found here, is
named by ``ungroupable``, and its model trains with the streaming engine.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from hf_mtl.training.engines.grouped.constants import by_group, by_row, places_read
from hf_mtl.training.engines.grouped.disentangled import position_scores
from hf_mtl.training.engines.grouped.embeddings import embedding_forward
from hf_mtl.training.engines.grouped.expansion import scale_forward, token_forward
from hf_mtl.training.engines.grouped.norms import layer_norm_forward
from hf_mtl.training.engines.grouped.products import conv1d_forward, linear_forward
from hf_mtl.training.engines.grouped.slicing import sliced_forward
from hf_mtl.training.engines.grouped.swapping import Place, own_parameters

__all__ = ["Patch", "fault_of", "patches_of", "subtree_fault_of"]

Replace = Callable[..., Callable[..., Any]]

# Subclasses are not meant: of what they do with the weights nothing is known.
_BY_TYPE: dict[type[nn.Module], Replace] = {
    nn.Linear: linear_forward,
    nn.Embedding: embedding_forward,
    nn.LayerNorm: layer_norm_forward,
    nn.RMSNorm: sliced_forward,
    nn.Conv1d: sliced_forward,
    nn.Conv2d: sliced_forward,
}
_OWN_PARAMETERS = {"weight", "bias"}

_CONV1D = re.compile(r"transformers\.pytorch_utils\.Conv1D")
# Every family has a copy of its own. All multiply by a vector, which some add 1 to.
_SCALE = re.compile(r"transformers\.models\..*\.(\w+RMSNorm|\w*T5LayerNorm|\w+LayerScale)")
# Vectors for every row: what vision families prepend, and add to their patches.
_TOKENS = {"cls_token", "mask_token", "distillation_token", "register_tokens"} | {
    "position_embeddings",
    "pos_embed",
}

# Methods that compute a tensor for all rows, and what they read.
_CONSTANTS: dict[str, tuple[Replace, tuple[str, ...]]] = {
    "compute_bias": (by_row, ("relative_attention_bias.weight",)),  # T5
    "compute_position_bias": (by_row, ("relative_attention_bias.weight",)),  # MPNet
    "interpolate_pos_encoding": (by_row, ("position_embeddings",)),  # ViT, DINOv2
    "get_rel_embedding": (  # DeBERTa-v2
        by_group,
        ("rel_embeddings.weight", "LayerNorm.weight", "LayerNorm.bias"),
    ),
}
# Families that put something else than rows in the first axis: time, windows, or all tokens. Their
# layers are refused by name, for there may be as many of these as rows.
_OTHER_AXES = re.compile(
    r"transformers\.models\.(bridgetower|clap|donut|fsmt|led|longformer|maskformer|opt"
    r"|seamless_m4t\w*|swin\w*|wav2vec2_(bert|conformer)|wavlm|xlnet)\..*"
)
_POSITION_SCORES = "disentangled_attention_bias"  # DeBERTa-v2


@dataclass(frozen=True)
class Patch:
    """A method of a module that is replaced in a grouped pass.

    Attributes:
        module: The module.
        method: Name of the method.
        replace: Builds the replacement from the module, its name, the method and the pass.
        covers: The parameters whose gradients by task it forms.
        concerns: The parameters for which it is needed.
    """

    module: nn.Module
    method: str
    replace: Replace
    covers: frozenset[Place]
    concerns: frozenset[Place]


def patches_of(module: nn.Module) -> Iterator[Patch]:
    """What is replaced in a module, apart from its children."""
    own = frozenset((module, key) for key in own_parameters(module))
    for method, (replace, reads) in _CONSTANTS.items():
        places = frozenset(places_read(module, reads)) if _has(module, method) else frozenset()
        if places and (replace is not by_group or _has_position_scores(module)):
            yield Patch(module, method, partial(replace, reads=reads), places - own, places)
    if _has(module, _POSITION_SCORES):
        below = {name: None for name, _ in module.named_parameters()}
        places = frozenset(places_read(module, tuple(below)))
        yield Patch(module, _POSITION_SCORES, position_scores, frozenset(), places)
    replace_forward = _forward_of(module) if own else None
    if replace_forward is not None:
        yield Patch(module, "forward", replace_forward, own, own)


def _forward_of(module: nn.Module) -> Replace | None:
    """How the forward of a module with parameters of its own is replaced, if it is known."""
    own = own_parameters(module)
    name = f"{type(module).__module__}.{type(module).__qualname__}"
    is_vectors = all(parameter.ndim == 1 for parameter in own.values())
    is_tokens = all(len(parameter) == 1 for parameter in own.values())
    if own.keys() <= _TOKENS and is_tokens:
        return token_forward
    if _SCALE.fullmatch(name) and is_vectors:
        return scale_forward
    if not own.keys() <= _OWN_PARAMETERS:
        return None
    return conv1d_forward if _CONV1D.fullmatch(name) else _BY_TYPE.get(type(module))


def _has(module: nn.Module, method: str) -> bool:
    # Asking the class: a module that is asked looks through its parameters and children as well.
    return hasattr(type(module), method)


def _has_position_scores(module: nn.Module) -> bool:
    return any(_has(each, _POSITION_SCORES) for each in module.modules())


def subtree_fault_of(module: nn.Module) -> str | None:
    """Why nothing in or below a module can be grouped; None if nothing is known against it."""
    if _OTHER_AXES.fullmatch(type(module).__module__):
        return "its family has no rows in the first axis of its layers"
    if "_orig_mod" in module._modules or module._compiled_call_impl is not None:
        return "it is compiled"
    if module._modules.get("lora_magnitude_vector"):
        return "DoRA computes with the weights of its layers, without a row axis"
    if _has(module, "disentangled_att_bias"):  # DeBERTa, the first version
        return "it computes with the weights of its layers, without calling them"
    return None


def fault_of(module: nn.Module, name: str) -> str | None:
    """Why a module, whatever its class, cannot be grouped; None if nothing is known against it.

    Args:
        module: The module.
        name: Its name in the model.
    """
    if "forward" in vars(module):
        return "its forward was replaced"
    if not isinstance(module, nn.Embedding):
        return None
    if module.max_norm is not None or module.scale_grad_by_freq or module.sparse:
        return "it has `max_norm`, `scale_grad_by_freq` or `sparse`"
    # Looked up with [L, L] positions, which rows could be mistaken for where there are L rows.
    if "rel" in re.split(r"[._]", name) or "relative" in name:
        return "it is of relative positions, which have no row axis"
    return None
