# SPDX-License-Identifier: Apache-2.0
"""Checkpoint folders appear and vanish in one moment, by a rename.

A checkpoint is written into ``_saving-checkpoint-N`` and renamed to ``checkpoint-N`` when it is
whole. One that it replaces is first renamed to ``_replaced-checkpoint-N``, and one that is to go to
``_removed-checkpoint-N``. A run that was killed leaves such folders; ``recover`` deals with them.
Uploads to the Hub pass over names with an underscore.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["StagedCheckpoint", "recover", "remove", "rotate", "step_folders"]

_SAVING, _REPLACED, _REMOVED = "_saving-", "_replaced-", "_removed-"
_CHECKPOINT = "checkpoint-"


@dataclass(frozen=True)
class StagedCheckpoint:
    """A checkpoint that is being saved.

    Args:
        run_folder: Folder of the run.
        step: Optimizer steps that were done.
    """

    run_folder: Path
    step: int

    @property
    def place(self) -> Path:
        """Where it is to be."""
        return self.run_folder / f"{_CHECKPOINT}{self.step}"

    @property
    def root(self) -> Path:
        """Stands for the folder of the run while files are written."""
        return self.run_folder / f"{_SAVING}{self.place.name}"

    @property
    def folder(self) -> Path:
        """Where its files are written."""
        return self.root / self.place.name

    def prepare(self) -> None:
        """Makes an empty folder, without what a killed run left."""
        recover(self.run_folder)
        self.folder.mkdir(parents=True)

    def publish(self) -> None:
        """Puts the checkpoint in its place, once it is on the disk as a whole."""
        _flush(self.root)
        replaced = self.run_folder / f"{_REPLACED}{self.place.name}"
        if self.place.exists():
            self.place.rename(replaced)
        self.folder.rename(self.place)
        _flush_names(self.run_folder)
        shutil.rmtree(replaced, ignore_errors=True)
        self.discard()

    def discard(self) -> None:
        """Removes what was written."""
        shutil.rmtree(self.root, ignore_errors=True)


def recover(run_folder: Path) -> None:
    """Removes what killed runs left, and puts a checkpoint back that was about to be replaced."""
    for replaced in run_folder.glob(f"{_REPLACED}{_CHECKPOINT}*"):
        place = run_folder / replaced.name.removeprefix(_REPLACED)
        if not place.exists():
            replaced.rename(place)
    for prefix in (_SAVING, _REPLACED, _REMOVED):
        for left_over in run_folder.glob(f"{prefix}{_CHECKPOINT}*"):
            shutil.rmtree(left_over, ignore_errors=True)


def remove(checkpoint: Path) -> None:
    """Removes a checkpoint; whatever happens, no half of it is left under its name."""
    removed = checkpoint.with_name(f"{_REMOVED}{checkpoint.name}")
    shutil.rmtree(removed, ignore_errors=True)
    checkpoint.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)


def step_folders(run_folder: Path) -> dict[int, Path]:
    """Checkpoints of a run by their step, the earliest first."""
    by_step = {}
    for folder in run_folder.glob(f"{_CHECKPOINT}*"):
        step = folder.name.removeprefix(_CHECKPOINT)
        if step.isdigit() and folder.is_dir():
            by_step[int(step)] = folder
    return dict(sorted(by_step.items()))


def rotate(run_folder: Path, limit: int | None, *, last: int, keep: Iterable[Path]) -> None:
    """Removes checkpoints until no more than a number of them are left.

    Unlike transformers' it never takes the checkpoint that was just saved, and asks no clock: of
    later steps than that, left from before the run was resumed, go first, then the earliest.

    Args:
        run_folder: Folder of the run.
        limit: How many may stay; ``None`` or 0 for all.
        last: Step of the checkpoint that was just saved.
        keep: Others that must stay.
    """
    by_step = step_folders(run_folder)
    if not limit or limit < 0:
        return
    kept = {path.resolve() for path in (*keep, run_folder / f"{_CHECKPOINT}{last}")}
    order = sorted(by_step, key=lambda step: (step <= last, step))
    candidates = [by_step[step] for step in order if by_step[step].resolve() not in kept]
    num_kept = len(by_step) - len(candidates)
    for checkpoint in candidates[: len(by_step) - max(limit, num_kept)]:
        remove(checkpoint)


def _flush(folder: Path) -> None:
    """Waits until all files below a folder are on the disk, not only in the system's memory."""
    for path in [folder, *folder.rglob("*")]:
        _flush_names(path)


def _flush_names(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # directories cannot be opened there
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
