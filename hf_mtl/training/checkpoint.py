# SPDX-License-Identifier: Apache-2.0
"""Checks of checkpoint folders: nothing is half loaded, no run is overwritten by chance."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.mixture import MIXTURE_FILE, Mixture

__all__ = ["check_complete", "check_output_folder", "check_resumable", "check_start"]

_SHOWN = 8
_STATE_FILES = ("trainer_state.json", "optimizer.pt", "scheduler.pt", MIXTURE_FILE)


def check_complete(folder: str | Path, model: nn.Module) -> None:
    """Raises unless a checkpoint holds exactly the tensors of a model, by the same names.

    Upstream restores what fits and warns about the rest, so that a run goes on with random
    weights.

    Args:
        folder: Checkpoint with safetensors, whole or sharded.
        model: The model that is to be restored.

    Raises:
        ValueError: If a file is damaged, or tensors are missing or left over.
    """
    found = _tensor_names(Path(folder))
    expected = model.state_dict(keep_vars=True)
    # Tied weights are saved under one of their names.
    saved_storage = {expected[name].data_ptr() for name in found if name in expected}
    missing = [
        name
        for name, tensor in expected.items()
        if name not in found and tensor.data_ptr() not in saved_storage
    ]
    left_over = [name for name in found if name not in expected]
    for names, what in ((missing, "lacks"), (left_over, "has, beyond the model,")):
        if names:
            shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
            raise ValueError(
                f"The checkpoint {str(folder)!r} must fit the model, but it {what} {len(names)} "
                f"tensors: {shown}. Resume with the tasks and the backbone it was trained with."
            )


def check_start(
    args: MultiTaskTrainingArguments,
    resume_from_checkpoint: str | bool | None,
    mixture: Callable[[], Mixture],
) -> None:
    """Raises unless a run can start anew in its folder, or go on from a checkpoint.

    Args:
        args: The arguments of the run.
        resume_from_checkpoint: A checkpoint, ``True`` for the last one, or nothing.
        mixture: Gives the mixture of the run.

    Raises:
        ValueError: If the folder holds another run, or the checkpoint is not fit to go on from.
    """
    folder = str(args.output_dir)
    if resume_from_checkpoint is True:
        # Where there is none, upstream says so.
        resume_from_checkpoint = get_last_checkpoint(folder) if Path(folder).is_dir() else None
        if resume_from_checkpoint is None:
            return
    if resume_from_checkpoint:
        check_resumable(resume_from_checkpoint, mixture(), args.ignore_data_skip)
    elif args.should_save:
        check_output_folder(folder, is_overwriting=args.overwrite_output_dir)


def check_resumable(folder: str | Path, mixture: Mixture, ignore_data_skip: bool) -> None:
    """Raises unless a run can go on from a checkpoint as if it had not been interrupted.

    Args:
        folder: The checkpoint.
        mixture: The mixture of the run that is to go on.
        ignore_data_skip: Whether the user gave up the position in the data.

    Raises:
        ValueError: If the checkpoint lacks a part of the state, or was made with another mixture.
    """
    folder = Path(folder)
    missing = [name for name in _STATE_FILES if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"The checkpoint {str(folder)!r} must hold the whole state of a run, but it lacks "
            f"{missing}. Resume from another checkpoint; to start anew from its weights, load "
            f"them with `MultiTaskModel.from_pretrained`."
        )
    if not ignore_data_skip and (differences := mixture.differences(folder)):
        raise ValueError(
            f"A resumed run must draw the same rows as the run of {str(folder)!r}, but "
            f"{'; '.join(differences)}. Take the former values, or set `ignore_data_skip=True` to "
            f"start an epoch anew with the new ones."
        )


def check_output_folder(folder: str | Path, *, is_overwriting: bool) -> None:
    """Refuses an output folder that holds another run, or clears its checkpoints.

    Args:
        folder: Where a new run is to be saved.
        is_overwriting: Whether the user said that an older run there may go. Its checkpoints are
            removed then, because a later resume would find them.

    Raises:
        ValueError: If there is another run and nobody said that it may go.
    """
    folder = Path(folder)
    holds_model = any(folder.glob("*.safetensors"))
    if not folder.is_dir() or not (get_last_checkpoint(str(folder)) or holds_model):
        return
    if not is_overwriting:
        raise ValueError(
            f"`output_dir` must not hold another run, but {str(folder)!r} has one. Choose another "
            f"folder, pass `resume_from_checkpoint=True` to go on with that run, or set "
            f"`overwrite_output_dir=True` to replace it."
        )
    for checkpoint in folder.glob("checkpoint-*"):
        if checkpoint.name.removeprefix("checkpoint-").isdigit():
            shutil.rmtree(checkpoint)


def _tensor_names(folder: Path) -> list[str]:
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
