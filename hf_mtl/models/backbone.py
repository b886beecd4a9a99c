# SPDX-License-Identifier: Apache-2.0
"""Everything that depends on how transformers builds its models.

Together with ``training/trainer.py`` the only address that a breaking release of transformers has.
The one mechanism: a native head is an instance of the family's genuine class, built without memory
on the meta device, whose base model is replaced by a ``BackboneReplay``. What is left is the part
above the base model; it runs the family's own code on the output of the shared backbone.
"""

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.integrations import deepspeed

from hf_mtl.models.untied import drop_unread, is_tied, start_untied
from hf_mtl.tasks import ROW_OF_SEQUENCE, tokenizer_of

__all__ = [
    "BackboneReplay",
    "backbone_inputs",
    "copy_tensors",
    "counts_positions_from_zero",
    "drop_cache",
    "freeze",
    "genuine_class",
    "genuine_head",
    "genuine_model",
    "hidden_size",
    "initializer_range",
    "is_meta",
    "pooler_parameters",
    "settle_pad_token",
    "sync_pad_token",
]


class BackboneReplay(nn.Module):
    """Stands where a head's base model was, and returns an output that was computed before."""

    def __init__(self) -> None:
        super().__init__()
        self._output: Any = None

    @contextmanager
    def of(self, output: Any) -> Iterator[None]:
        """Replays that output inside the block."""
        self._output = output
        try:
            yield
        finally:
            self._output = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output to replay, whatever the head passes on."""
        del args, kwargs
        return self._output

    def get_input_embeddings(self) -> nn.Module:
        """None of its own; the word transformers has for that is this exception."""
        raise NotImplementedError("The shared backbone has the embeddings.")


def is_meta(module: nn.Module) -> bool:
    """Whether a module is without memory, as everything is while ``from_pretrained`` builds it."""
    return any(parameter.is_meta for parameter in module.parameters())


def genuine_model(auto_model: str, config: PreTrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    """Model of an ``AutoModelFor...`` class, its weights neither loaded nor initialised.

    A head that the class ties to the embeddings has weights of its own here, because those of the
    backbone are shared by all tasks; ``config`` says so then.

    Raises:
        ValueError: If the backbone's family has no such class.
    """
    auto_class = getattr(transformers, auto_model)
    if is_tied(_class_of(auto_model, config)):
        config.tie_word_embeddings = False
    with no_init_weights(), _without_zero3():
        try:
            model: PreTrainedModel = auto_class.from_config(config, dtype=dtype)
        except ValueError as error:
            if "Unrecognized configuration class" not in str(error):
                raise
            raise ValueError(
                f"`head` must be one that the backbone's family has, but {config.model_type!r} "
                f"has no {auto_model}. Use the head 'pooled', or another backbone."
            ) from error
    return model


def genuine_class(auto_model: str, config: PreTrainedConfig) -> str | None:
    """Name of the class that an ``AutoModelFor...`` has for a family; ``None`` if it has none."""
    found = _class_of(auto_model, config)
    return None if found is None else found.__name__


def _class_of(auto_model: str, config: PreTrainedConfig) -> type[PreTrainedModel] | None:
    classes = getattr(transformers, auto_model)._model_mapping
    if type(config) not in classes:
        return None
    found = classes[type(config)]
    single: type[PreTrainedModel] = found[0] if isinstance(found, tuple) else found
    return single


@contextmanager
def _without_zero3() -> Iterator[None]:
    """Context in which transformers splits no new parameter over ranks.

    Under ZeRO-3 it would, and initialise them, which what has no memory cannot bear. Heads are
    split later, with the whole model.
    """
    held = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = held


def genuine_head(
    auto_model: str, backbone: PreTrainedModel, num_outputs: int
) -> tuple[PreTrainedModel, frozenset[str]]:
    """Genuine model with a ``BackboneReplay`` as its base model, and what it leaves unused.

    Args:
        auto_model: Name of the Auto class of the task type.
        backbone: The shared backbone.
        num_outputs: Outputs of the classifier.

    Returns:
        The head, initialised as its family does it unless on the meta device, and the names of the
        backbone's parameters that its own base model would not have.
    """
    skeleton = _skeleton(auto_model, backbone, num_outputs)
    bypassed = skeleton.unused & {name for name, _ in backbone.named_parameters()}
    model = copy.deepcopy(skeleton.model)
    if not is_meta(backbone):
        model.to_empty(device=backbone.device)
        # Here and not by post_init of the whole model: for classes outside of transformers that
        # passes over modules without parameters of their own, where some families initialise.
        model.initialize_weights()
        start_untied(model, backbone)
    return model, bypassed


@dataclass(frozen=True)
class _Skeleton:
    """A head without memory, to be copied.

    Attributes:
        model: Genuine model on the meta device, its base model replaced by a replay.
        unused: Names of the parameters that its own base model lacks and a plain backbone has;
            those of adapters, which no model of the family has, are not among them.
        config: Config of the backbone at that time.
        dtype: Data type of the backbone at that time.
    """

    model: PreTrainedModel
    unused: frozenset[str]
    config: PreTrainedConfig
    dtype: torch.dtype


# To find out what a family puts above its base model, the base model must be built, layer by layer.
# For hundreds of tasks on one backbone that is done once for each form of head.
_SKELETONS: WeakKeyDictionary[PreTrainedModel, dict[tuple[str, int], _Skeleton]] = (
    WeakKeyDictionary()
)


def _skeleton(auto_model: str, backbone: PreTrainedModel, num_outputs: int) -> _Skeleton:
    """Skeleton of a head; the one built before, unless the backbone was changed since."""
    skeletons = _SKELETONS.setdefault(backbone, {})
    known = skeletons.get((auto_model, num_outputs))
    if known is None or known.config != backbone.config or known.dtype != backbone.dtype:
        known = _new_skeleton(auto_model, backbone, num_outputs)
        skeletons[auto_model, num_outputs] = known
    return known


def _new_skeleton(auto_model: str, backbone: PreTrainedModel, num_outputs: int) -> _Skeleton:
    # A copy, because the number of outputs differs between heads and the rest is one object.
    config = copy.deepcopy(backbone.config)
    config.num_labels = num_outputs
    # Where a family has several classes, transformers looks here and trips over None.
    config.architectures = config.architectures or []
    with torch.device("meta"):
        model = genuine_model(auto_model, config, backbone.dtype)
        plain = type(backbone)(copy.deepcopy(config))
    used = {name for name, _ in model.base_model.named_parameters()}
    # With both names of a tied tensor: one of the two models may not be tied.
    there = {name for name, _ in plain.named_parameters(remove_duplicate=False)}
    if lacking := sorted(used - there):
        raise ValueError(
            f"`head` must need no more than the backbone, but {type(model).__name__} has parts "
            f"below its head that a {type(backbone).__name__} has not: {lacking[0]}, ... "
            f"({len(lacking)} in all). Use the head 'pooled', or another backbone."
        )
    unused = frozenset(name for name, _ in plain.named_parameters() if name not in used)
    replay = BackboneReplay()
    setattr(model, model.base_model_prefix, replay)
    if is_tied(type(model)):
        drop_unread(model)
    # Some families reach into their base model for these.
    model.get_input_embeddings = replay.get_input_embeddings  # type: ignore[method-assign]
    return _Skeleton(model, unused, copy.deepcopy(backbone.config), backbone.dtype)


def pooler_parameters(backbone: PreTrainedModel) -> frozenset[str]:
    """Names of the parameters that no hidden state depends on: those of the family's own pooler."""
    names = (name for name, _ in backbone.named_parameters())
    return frozenset(name for name in names if name.startswith("pooler."))


def freeze(
    backbone: PreTrainedModel, names: Iterable[str], frozen: Iterable[str]
) -> frozenset[str]:
    """Freezes the named parameters, and thaws the others that were frozen here before.

    A parameter that never gets a gradient is an error under some sharding strategies, and its
    state is missing from the optimizer's when a run is resumed.

    What the user froze stays frozen: a parameter that was so already is not counted as frozen
    here, and nothing thaws in a backbone of which nothing else is trained.

    Args:
        backbone: The backbone.
        names: Parameters to freeze.
        frozen: What the call before this one returned.

    Returns:
        Names of the parameters that are frozen here and were trainable before.
    """
    names, frozen = set(names), set(frozen)
    parameters = dict(backbone.named_parameters())
    is_trained = any(
        parameter.requires_grad for name, parameter in parameters.items() if name not in frozen
    )
    frozen_here = {name for name in names & parameters.keys() if parameters[name].requires_grad} | (
        names & frozen
    )
    for name in frozen_here:
        parameters[name].requires_grad_(False)
    if is_trained:
        for name in (frozen - names) & parameters.keys():
            parameters[name].requires_grad_(True)
    return frozenset(frozen_here)


def hidden_size(config: PreTrainedConfig) -> int:
    """Size ``D`` of the backbone's last hidden states."""
    text_config = config.get_text_config()
    if hasattr(text_config, "hidden_size"):
        return int(text_config.hidden_size)
    return int(config.hidden_sizes[-1])


def initializer_range(config: PreTrainedConfig) -> float:
    """Standard deviation with which the family initialises linear layers."""
    return float(getattr(config.get_text_config(), "initializer_range", 0.02))


def drop_cache(backbone: PreTrainedModel, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs with which a decoder does not keep the keys and values that only generation needs."""
    if "use_cache" in inspect.signature(backbone.forward).parameters:
        return {"use_cache": False, **inputs}
    return dict(inputs)


def counts_positions_from_zero(backbone: PreTrainedModel) -> bool:
    """Whether a backbone learns a vector for each position and counts padding as positions.

    So do GPT-2 and BERT. Left out are the families that find the real tokens themselves: RoBERTa
    and its kin give padding a row of its own in their table (a ``padding_idx``), others (OPT) make
    the table larger than the number of positions. Rotary and relative positions have no table.
    """
    if "position_ids" not in inspect.signature(backbone.forward).parameters:
        return False
    size = getattr(backbone.config.get_text_config(), "max_position_embeddings", None)
    return any(
        module.num_embeddings == size and module.padding_idx is None
        for module in backbone.modules()
        if isinstance(module, nn.Embedding)
    )


def backbone_inputs(
    backbone: PreTrainedModel, inputs: Mapping[str, Any], *, counts_from_zero: bool
) -> dict[str, Any]:
    """What the backbone is given: no cache, and positions that do not depend on padding.

    With padding on the left a backbone that counts from the start of the row would see a text at
    other positions whenever a longer one is in its batch. So each row counts from its first real
    token. No row is asked on which side it is padded, for which a GPU would have to be waited for:
    padding on the right gives ``0, 1, 2, ...`` all along, which is what the backbone uses anyway.

    Args:
        backbone: The backbone.
        inputs: Inputs of the model.
        counts_from_zero: What ``counts_positions_from_zero`` says of the backbone.
    """
    prepared = drop_cache(backbone, inputs)
    prepared.pop(ROW_OF_SEQUENCE, None)
    mask = inputs.get("attention_mask")
    given = inputs.get("position_ids") is not None or inputs.get("past_key_values") is not None
    if counts_from_zero and not given and isinstance(mask, Tensor) and mask.ndim == 2:
        # Not a running sum of the mask: that would count otherwise behind padding on the right.
        first = mask.int().argmax(dim=1, keepdim=True)
        positions = torch.arange(mask.shape[1], device=mask.device)
        prepared["position_ids"] = (positions - first).clamp(min=0)
    return prepared


def settle_pad_token(config: PreTrainedConfig, processing_class: Any) -> None:
    """Takes the padding token from the tokenizer if the backbone's config has none.

    Heads of decoders look for the last token that is not padding.
    """
    text_config = config.get_text_config()
    tokenizer = tokenizer_of(processing_class)
    if getattr(text_config, "pad_token_id", 0) is None:
        text_config.pad_token_id = getattr(tokenizer, "pad_token_id", None)


def sync_pad_token(source: PreTrainedConfig, target: PreTrainedConfig) -> None:
    """Gives a head's config the padding token of the backbone's."""
    source, target = source.get_text_config(), target.get_text_config()
    pad_token_id = getattr(source, "pad_token_id", None)
    if getattr(target, "pad_token_id", None) != pad_token_id:
        target.pad_token_id = pad_token_id


def copy_tensors(source: nn.Module, target: nn.Module) -> None:
    """Copies every parameter and buffer that both have under one name.

    Buffers that are not saved are among them: those of a model that was cast to another dtype
    differ from those of a new one.
    """
    # With both names of a tied tensor: the target may not be tied yet.
    tensors: dict[str, Tensor] = {
        **dict(source.named_parameters(remove_duplicate=False)),
        **dict(source.named_buffers(remove_duplicate=False)),
    }
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            if name in tensors:
                parameter.copy_(tensors[name])
        for name, buffer in target.named_buffers():
            if name in tensors:
                buffer.data = tensors[name].detach().clone()
