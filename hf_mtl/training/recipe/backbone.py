# SPDX-License-Identifier: Apache-2.0
"""What is known of a backbone before its weights are loaded."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import HFValidationError
from transformers import AutoConfig, AutoModel, AutoProcessor, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from hf_mtl._checks import nearest
from hf_mtl.models import MultiTaskConfig, MultiTaskModel
from hf_mtl.models.checkpoint import is_made_up
from hf_mtl.tasks import TaskSuite, tokenizer_of
from hf_mtl.training.recipe.data_files import missing_backbone

__all__ = ["backbone_config", "check_model_fields", "load_processing_class", "weightless_model"]

logger = logging.get_logger(__name__)

# Arguments that say where files are, the same for configuration, tokenizer and weights.
_PLACE = frozenset(
    {"cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token"}
    | {"trust_remote_code"}
)
# Arguments that `from_pretrained` takes in its `**kwargs`, where a signature does not show them.
_LOADING = frozenset(
    {"device_map", "dtype", "experts_implementation", "gguf_file", "key_mapping", "max_memory"}
    | {"offload_buffers", "offload_folder", "quantization_config", "use_kernels", "variant"}
)


def backbone_config(model: Mapping[str, Any], folder: Path | None = None) -> PreTrainedConfig:
    """Configuration of the backbone that a recipe names, with the recipe's changes to it.

    Args:
        model: The section ``model`` of a recipe.
        folder: Folder of the recipe; ``None``: the current one.

    Raises:
        OSError: If there is no such backbone; the nearest folder is offered.
    """
    try:
        config, _ = _config_and_rest(model)
    except (OSError, HFValidationError) as error:
        backbone = model["backbone"]
        if Path(backbone).exists():
            raise OSError(f"`backbone` {backbone!r} cannot be loaded: {error}") from error
        missing = missing_backbone(backbone, folder or Path())
        reason = f" ({error})" if _may_be_name(backbone) else ""
        raise OSError(f"{missing}{reason}") from error
    return config


def check_model_fields(model: Mapping[str, Any]) -> None:
    """Raises unless every field of the section is an argument of something.

    Args:
        model: The section ``model`` of a recipe.

    Raises:
        TypeError: If a field is none; the nearest one is offered.
    """
    config, rest = _config_and_rest(model)
    loading = _LOADING | set(inspect.signature(PreTrainedModel.from_pretrained).parameters)
    unknown = [name for name in rest if name not in loading]
    if not unknown:
        return
    with torch.device("meta"):
        backbone_class = type(AutoModel.from_config(config))
    building = set(inspect.signature(backbone_class.__init__).parameters) - {"self", "config"}
    known = [*_PLACE, *loading, *building, *config.to_dict()]
    for name in unknown:
        if name not in building:
            hint = nearest(name, known)
            raise TypeError(
                f"Unknown field {name!r} for a backbone of type {config.model_type!r}."
                + (f" Did you mean {hint!r}?" if hint else "")
            )


def _config_and_rest(model: Mapping[str, Any]) -> tuple[PreTrainedConfig, dict[str, Any]]:
    """Configuration, and the fields that are none of its."""
    changes = {name: value for name, value in model.items() if name != "backbone"}
    config, rest = AutoConfig.from_pretrained(
        model["backbone"], return_unused_kwargs=True, **changes
    )
    return config, rest


def _may_be_name(backbone: str) -> bool:
    return backbone.count("/") <= 1 and not backbone.startswith((".", "/", "~"))


def load_processing_class(model: Mapping[str, Any]) -> Any:
    """Tokenizer, image processor or processor of the backbone that a recipe names.

    A tokenizer without a padding token, as decoders have it, pads with its end-of-text token.

    Args:
        model: The section ``model`` of a recipe.

    Raises:
        OSError: If there is none.
        ValueError: If it is of no known class.
    """
    place = {name: value for name, value in model.items() if name in _PLACE}
    processing_class = AutoProcessor.from_pretrained(model["backbone"], **place)
    if is_made_up(processing_class):
        raise OSError(
            f"`backbone` must come with its tokenizer, but there is none with "
            f"{model['backbone']!r}. Save it there with `tokenizer.save_pretrained`."
        )
    tokenizer = tokenizer_of(processing_class)
    if getattr(tokenizer, "pad_token", "") is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
        logger.info(f"The tokenizer has no padding token and pads with {tokenizer.eos_token!r}.")
    return processing_class


def weightless_model(config: PreTrainedConfig, suite: TaskSuite) -> MultiTaskModel:
    """Model of the right shapes that takes no memory: everything is on the meta device.

    Args:
        config: Configuration of the backbone.
        suite: The tasks, with label names.

    Raises:
        ValueError: If a head does not suit its task or the backbone.
    """
    with torch.device("meta"):
        return MultiTaskModel(MultiTaskConfig(backbone_cfg=config, tasks=suite.to_list()))
