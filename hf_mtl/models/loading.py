# SPDX-License-Identifier: Apache-2.0
"""Where a backbone comes from: its folder, a loaded model, or its configuration."""

import inspect
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    PreTrainedConfig,
    PreTrainedModel,
)

from hf_mtl.models.checkpoint import location, naming_broken_files

__all__ = ["align_memory", "load_backbone", "new_backbone", "pretrained_tensors"]

# Bytes; where PyTorch's CPU allocator puts every tensor.
_ALIGNMENT = 64


def load_backbone(name_or_path: str | PreTrainedModel, **kwargs: Any) -> PreTrainedModel:
    """Base model with its pretrained weights, without a head.

    Args:
        name_or_path: Name on the Hub, folder, or a loaded model; of a model with a head, its base
            model is taken as it is, not copied.
        kwargs: Arguments of ``AutoModel.from_pretrained``.

    Raises:
        TypeError: If a model is given and is none of transformers, or is given with arguments.
        ValueError: If the base model is not the one that its configuration alone would give, so
            that what is saved of it could not be loaded.
    """
    if isinstance(name_or_path, nn.Module):
        if not isinstance(name_or_path, PreTrainedModel):
            raise TypeError(
                f"`name_or_path` must be a name, a folder or a `PreTrainedModel`, but got a "
                f"{type(name_or_path).__name__}. Wrap it in a `PreTrainedModel`."
            )
        if kwargs:
            raise TypeError(
                f"{sorted(kwargs)} must not be given with a loaded model, only with a name or a "
                f"folder. Load the model with them."
            )
        model = name_or_path.base_model
        assert isinstance(model, PreTrainedModel)
    else:
        model = _auto_class(_config_of(name_or_path, kwargs)).from_pretrained(
            name_or_path, **kwargs
        )
    _check_whole(model)
    align_memory(model)
    return model


def pretrained_tensors(name_or_path: str | PreTrainedModel) -> tuple[Any, dict[str, Tensor]]:
    """Configuration of a backbone, and its parameters, but those that its checkpoint lacks.

    Args:
        name_or_path: Name on the Hub, folder, or a loaded model, with a head or without.
    """
    if isinstance(name_or_path, PreTrainedModel):
        return name_or_path.config, dict(name_or_path.base_model.named_parameters())
    auto_class = _auto_class(_config_of(name_or_path, {}))
    with naming_broken_files(name_or_path, {}):
        model, info = auto_class.from_pretrained(
            name_or_path, output_loading_info=True, use_safetensors=True, trust_remote_code=False
        )
    lacking = set(info["missing_keys"])
    return model.config, {
        name: value for name, value in model.named_parameters() if name not in lacking
    }


def new_backbone(config: PreTrainedConfig, **kwargs: Any) -> PreTrainedModel:
    """Base model with random weights, of the class that ``load_backbone`` gives.

    Args:
        config: Its configuration.
        kwargs: Arguments of ``AutoModel.from_config``.
    """
    model: PreTrainedModel = _auto_class(config).from_config(config, **kwargs)
    return model


def align_memory(model: nn.Module) -> None:
    """Moves weights to where PyTorch would have put them, one tensor at a time.

    ``from_pretrained`` leaves weights inside the mapped file, at addresses that are multiples of 8
    bytes only. Products of a matrix and a vector then differ in the last bit from those of the
    model that was saved.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        data = tensor.data
        if type(data) is Tensor and data.device.type == "cpu" and data.data_ptr() % _ALIGNMENT:
            tensor.data = data.clone()


def _config_of(name: str, kwargs: Mapping[str, Any]) -> PreTrainedConfig | None:
    """Configuration in a folder or on the Hub; ``None``: what lies there is ``AutoModel``'s say."""
    if kwargs.get("config") is not None:
        config = kwargs["config"]
        return config if isinstance(config, PreTrainedConfig) else None
    where = location(kwargs)
    if "trust_remote_code" in kwargs:
        where["trust_remote_code"] = kwargs["trust_remote_code"]
    try:
        config = AutoConfig.from_pretrained(name, **where)
    except (OSError, ValueError):
        return None
    assert isinstance(config, PreTrainedConfig)
    return config


def _auto_class(config: PreTrainedConfig | None) -> Any:
    """``AutoModel``, or for encoders with a decoder (T5) the class of the encoder alone.

    The decoder of such a family reads texts that tasks on texts do not have.
    """
    return AutoModelForTextEncoding if _has_encoder_class(config) else AutoModel


def _has_encoder_class(config: PreTrainedConfig | None) -> bool:
    # What the family is, not what this config says: classes of encoders change it.
    is_pair = config is not None and bool(type(config).is_encoder_decoder)
    return is_pair and type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING


def _check_whole(model: PreTrainedModel) -> None:
    """Raises unless a base model has all the parts of a new one, and no other.

    Raises:
        ValueError: If it has a decoder too many, or its pooler was left out.
    """
    name = type(model).__name__
    if _has_encoder_class(model.config):
        encoder = cast("type", MODEL_FOR_TEXT_ENCODING_MAPPING[type(model.config)])
        if not isinstance(model, encoder):
            raise ValueError(
                f"`name_or_path` must be an encoder where its family has one alone, but got a "
                f"{name}. Give the name or the folder, or an `{encoder.__name__}`."
            )
    parameters = inspect.signature(type(model).__init__).parameters
    has_choice = "add_pooling_layer" in parameters and parameters["add_pooling_layer"].default
    if has_choice and getattr(model, "pooler", model) is None:
        raise ValueError(
            f"`name_or_path` must be a whole base model, but this {name} was built without its "
            f"pooler, and a checkpoint of it could not be loaded. Give the name or the folder, or "
            f"load it with `AutoModel` and without `add_pooling_layer`."
        )
