# SPDX-License-Identifier: Apache-2.0
"""Whether models have one architecture and one vocabulary, so that they can share a backbone."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel

from hf_mtl.models.checkpoint import load_processing_class

__all__ = ["check_base", "check_same_architecture", "check_same_vocabulary"]

# What a config says about a head, a file or a way to run, and not about the backbone.
_NOT_OF_THE_BACKBONE = frozenset(
    {
        "architectures",
        "dtype",
        "finetuning_task",
        "id2label",
        "is_encoder_decoder",  # changed by encoders of T5 in a config that they share
        "label2id",
        "name_or_path",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "problem_type",
        "return_dict",
        "tokenizer_class",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)
# How a text is padded is no matter of weights.
_SPECIAL_TOKENS = frozenset({"bos_token_id", "eos_token_id", "pad_token_id"})


def check_same_architecture(models: Mapping[str, PreTrainedModel]) -> None:
    """Raises unless models differ in nothing but weights, heads and dropout.

    Args:
        models: The model of each task.

    Raises:
        ValueError: If two have other architectures, vocabularies, sizes or dtypes.
    """
    (first, reference), *others = models.items()
    for task, model in others:
        if found := _differences(model.config, reference.config):
            raise ValueError(
                f"`models` must be of one architecture, but {task!r} differs from {first!r} in "
                f"{found}. Fine-tune them from one backbone, without changing it."
            )
        if model.dtype != reference.dtype:
            raise ValueError(
                f"`models` must have one dtype, but {task!r} has {model.dtype} and {first!r} "
                f"{reference.dtype}. Load them yourself with the same `dtype`, and give the models."
            )


def check_base(base: PreTrainedConfig, first: str, config: PreTrainedConfig) -> None:
    """Raises unless a base has the architecture of the models that are to be merged.

    Args:
        base: Its config.
        first: Task of the first model.
        config: Config of that model.

    Raises:
        ValueError: If it has not.
    """
    if found := _differences(base, config, _SPECIAL_TOKENS):
        raise ValueError(
            f"`base` must be what the models were fine-tuned from, but differs from {first!r} in "
            f"{found}. Give that model, or merge by 'average', which needs none."
        )


def check_same_vocabulary(models: Mapping[str, PreTrainedModel]) -> None:
    """Raises if tokenizers that lie beside the models give tokens other ids.

    Args:
        models: The model of each task. Those without a tokenizer are passed over.

    Raises:
        ValueError: If they do.
    """
    vocabularies = {}
    for task, model in models.items():
        found = load_processing_class(model.name_or_path, model.main_input_name)
        tokenizer: Any = getattr(found, "tokenizer", found)
        if hasattr(tokenizer, "get_vocab"):
            vocabularies[task] = tokenizer.get_vocab()
    if not vocabularies:
        return
    (first, reference), *others = vocabularies.items()
    for task, vocabulary in others:
        tokens = reference.keys() | vocabulary.keys()
        changed = sorted(each for each in tokens if reference.get(each) != vocabulary.get(each))
        if changed:
            token = changed[0]
            raise ValueError(
                f"`models` must share one vocabulary, but {len(changed)} tokens of {task!r} have "
                f"other ids than in {first!r}, such as {token!r} ({vocabulary.get(token)} instead "
                f"of {reference.get(token)}). Fine-tune them with one tokenizer."
            )


def _differences(
    config: PreTrainedConfig, reference: PreTrainedConfig, ignored: frozenset[str] = frozenset()
) -> str:
    """Fields in which a config differs from another, with the values; empty if in none."""
    if config.model_type != reference.model_type:
        return f"model_type ({config.model_type!r} instead of {reference.model_type!r})"
    own, other = _fields(config.to_dict(), ignored), _fields(reference.to_dict(), ignored)
    return ", ".join(
        f"{name} ({own.get(name)!r} instead of {other.get(name)!r})"
        for name in sorted(own.keys() | other.keys())
        if own.get(name) != other.get(name)
    )


def _fields(config: Mapping[str, Any], ignored: frozenset[str]) -> dict[str, Any]:
    """What a config says about the backbone, nested configs included; dropout has no weights."""
    return {
        name: _fields(value, ignored) if isinstance(value, Mapping) else value
        for name, value in config.items()
        if name not in _NOT_OF_THE_BACKBONE | ignored
        and not name.startswith("_")
        and "drop" not in name
    }
