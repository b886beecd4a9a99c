# SPDX-License-Identifier: Apache-2.0
"""Checks of what was read from a checkpoint, and where a processing class is found in one."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer
from transformers.utils import logging
from transformers.utils.hub import cached_file

from hf_mtl.tasks import tokenizer_of

__all__ = [
    "check_loading",
    "is_made_up",
    "load_processing_class",
    "location",
    "naming_broken_files",
]

logger = logging.get_logger(__name__)

_LOADER_BY_MAIN_INPUT: dict[str, Any] = {
    "input_ids": AutoTokenizer,
    "pixel_values": AutoImageProcessor,
}


_LOCATION = ("subfolder", "revision", "cache_dir", "token", "local_files_only")


def location(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Those arguments of ``from_pretrained`` that say where files lie, not what becomes of them."""
    return {key: kwargs[key] for key in _LOCATION if key in kwargs}


def check_loading(
    name: str, info: Mapping[str, Any], *, ignore_mismatched_sizes: bool = False
) -> None:
    """Raises unless a checkpoint held every tensor of the model, in its size, and no other.

    Transformers would give missing tensors random values and leave others out, with no more than a
    warning.

    Args:
        name: The checkpoint, for the message.
        info: What ``from_pretrained`` says about its loading.
        ignore_mismatched_sizes: Whether the user wants tensors of another size initialised anew.

    Raises:
        ValueError: If it did not; the message names the heads and tensors.
    """
    missing_heads, missing_rest = _split_heads(info["missing_keys"])
    extra_heads, extra_rest = _split_heads(info["unexpected_keys"])
    resized = [
        f"{tensor} ({list(found)} instead of {list(expected)})"
        for tensor, found, expected in sorted(info["mismatched_keys"])
    ]
    problems = [
        f"{what}: {', '.join(found)}"
        for what, found in (
            ("no weights for the heads of tasks", missing_heads),
            ("no weights for", missing_rest),
            ("heads of tasks that config.json does not have", extra_heads),
            ("tensors that the model does not have", extra_rest),
            ("tensors of another size", [] if ignore_mismatched_sizes else resized),
        )
        if found
    ]
    if any(".base_layer." in name for name in info["unexpected_keys"]):
        raise ValueError(
            f"Checkpoint {name!r} must have no adapters in its backbone, which its config.json "
            f"does not describe. Make the model as it was made (`from_backbone`, `add_adapter`), "
            f"and give it the tensors of the file with `load_state_dict`."
        )
    if problems:
        raise ValueError(
            f"Checkpoint {name!r} must hold exactly the weights that its config.json describes, "
            f"but it has {'; '.join(problems)}. Save the model again as a whole; to change its "
            f"tasks, load it and use `add_task` and `remove_task`."
        )


def _split_heads(tensors: Iterable[str], limit: int = 10) -> tuple[list[str], list[str]]:
    """Tasks of the tensors that belong to heads, and the other tensors (the first few)."""
    tasks, others = set(), []
    for tensor in sorted(tensors):
        parts = tensor.split(".")
        if parts[0] == "heads" and len(parts) > 2:
            tasks.add(parts[1])
        else:
            others.append(tensor)
    if len(others) > limit:
        others = [*others[:limit], f"... {len(others)} in all"]
    return sorted(tasks), others


@contextmanager
def naming_broken_files(name: Any, kwargs: Mapping[str, Any]) -> Iterator[None]:
    """Turns an error inside a weights file into one that names the file.

    Args:
        name: Name on the Hub, or folder, that is loaded inside the block.
        kwargs: Arguments of ``from_pretrained``.

    Raises:
        OSError: If a safetensors file cannot be read.
    """
    try:
        yield
    except SafetensorError as error:
        files = [str(path) for path in _weight_files(name, kwargs) if not _is_readable(path)]
        raise OSError(
            f"Weights of {str(name)!r} must be complete safetensors files, but "
            f"{', '.join(files) or 'one'} cannot be read ({error}). It was cut off or damaged: "
            f"save or download it again."
        ) from error


def _weight_files(name: Any, kwargs: Mapping[str, Any]) -> list[Path]:
    folder = Path(name) / kwargs.get("subfolder", "")
    if not folder.is_dir():
        where = {
            key: kwargs[key] for key in ("cache_dir", "revision", "subfolder") if key in kwargs
        }
        config = cached_file(name, "config.json", local_files_only=True, **where)
        folder = Path(str(config)).parent
    return sorted(folder.glob("*.safetensors"))


def _is_readable(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt"):
            return True
    except SafetensorError:
        return False


def load_processing_class(
    name: str | None, main_input: str, where: Mapping[str, Any] | None = None
) -> Any | None:
    """Tokenizer, image processor or processor that lies beside a model; ``None`` if none does.

    Args:
        name: Name on the Hub, or folder; empty for a model that came from nowhere.
        main_input: The model's main input, such as ``"input_ids"``.
        where: What ``location`` says of the arguments that the model was loaded with.
    """
    if not name:
        return None
    loader = _LOADER_BY_MAIN_INPUT.get(main_input, AutoProcessor)
    try:
        found = loader.from_pretrained(name, **(where or {}))
    except (OSError, ValueError, KeyError) as error:
        logger.info(f"No processing class was found in {name!r}: {error}")
        return None
    return None if is_made_up(found) else found


def is_made_up(processing_class: Any) -> bool:
    """Whether it is the tokenizer that transformers gives where none lies: one without words."""
    tokenizer = tokenizer_of(processing_class)
    if not hasattr(tokenizer, "get_vocab"):
        return False
    words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    return words <= {"\u2581"}  # T5's word boundary
