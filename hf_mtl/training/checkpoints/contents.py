# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint folder holds, whichever strategy wrote it."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, logging

from hf_mtl.training.checkpoints.run_state import RUN_STATE_FILE, RunState, has_run_state
from hf_mtl.training.checkpoints.staging import step_folders
from hf_mtl.training.checkpoints.tensor_files import GRADIENT_MEMORY_FILE

__all__ = ["file_sizes", "missing_parts", "newest_whole", "tensor_names"]

logger = logging.get_logger(__name__)

# Names of a part under each strategy; one of them will do. DeepSpeed keeps what it goes on from in
# the folder that `latest` names.
_PARTS = (
    (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME),
    ("trainer_state.json",),
    ("optimizer.pt", "optimizer.bin", "latest"),
    ("scheduler.pt", "latest"),
    ("rng_state*.pth",),
)
# Of the files that a checkpoint was saved with, those that it cannot do without. FSDP goes on from
# `pytorch_model_fsdp.bin` and `optimizer.bin`.
_STATE_SUFFIXES = (".pt", ".pth", ".bin")
_NOT_STATE = frozenset({"training_args.bin"})
# Safetensors that nobody edits, unlike those of the model.
_TENSOR_FILES = frozenset({GRADIENT_MEMORY_FILE})


def missing_parts(folder: Path) -> list[str]:
    """What a checkpoint lacks to go on from it: files by name, and those that were cut off.

    Args:
        folder: The checkpoint.
    """
    missing = [names[0] for names in _PARTS if not any(any(folder.glob(name)) for name in names)]
    if not has_run_state(folder):
        return [*missing, RUN_STATE_FILE]
    for name, size in RunState.read(folder).files.items():
        file = folder / name
        if not file.is_file():
            is_state = name.endswith(_STATE_SUFFIXES) and name not in _NOT_STATE
            if (is_state or name in _TENSOR_FILES) and name not in missing:
                missing.append(name)
        # Safetensors know their own size, and may be written anew by whoever edits a head.
        elif file.stat().st_size < size and (
            file.suffix != ".safetensors" or name in _TENSOR_FILES
        ):
            missing.append(f"{name} (cut off)")
    return missing


def newest_whole(run_folder: Path) -> Path | None:
    """The latest checkpoint that a run can go on from; others are named in a warning.

    Args:
        run_folder: Folder of the run.
    """
    for folder in reversed(step_folders(run_folder).values()):
        try:
            missing = missing_parts(folder)
            tensor_names(folder)
        except ValueError as error:
            logger.warning(f"Passing over a checkpoint: {error}")
            continue
        if not missing:
            return folder
        logger.warning(f"Passing over {str(folder)!r}: it is not whole, it lacks {missing}.")
    return None


def tensor_names(folder: Path) -> list[str]:
    """Names of all tensors in the safetensors of a checkpoint.

    Raises:
        ValueError: If a file is missing or damaged.
    """
    index = folder / SAFE_WEIGHTS_INDEX_NAME
    if index.is_file():
        shard_by_name = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = sorted({folder / shard for shard in shard_by_name.values()})
    else:
        files = [folder / SAFE_WEIGHTS_NAME]
    names: list[str] = []
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                names.extend(tensors.keys())
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"The checkpoint file {str(file)!r} must be whole, but it cannot be read: {error}. "
                f"Use an earlier checkpoint."
            ) from error
    return names


def file_sizes(folder: Path) -> dict[str, int]:
    """Size of each file of a checkpoint in bytes, by its path within it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}
