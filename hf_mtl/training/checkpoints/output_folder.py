# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: no other run there is overwritten by chance."""

from pathlib import Path

from hf_mtl.training.checkpoints.staging import remove, step_folders

__all__ = ["check_output_folder"]


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
    checkpoints = step_folders(folder) if folder.is_dir() else {}
    if not checkpoints and not any(folder.glob("*.safetensors")):
        return
    if not is_overwriting:
        raise ValueError(
            f"`output_dir` must not hold another run, but {str(folder)!r} has one. Choose another "
            f"folder, pass `resume_from_checkpoint=True` to go on with that run, or set "
            f"`overwrite_output_dir=True` to replace it."
        )
    for checkpoint in checkpoints.values():
        remove(checkpoint)
