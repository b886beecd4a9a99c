# SPDX-License-Identifier: Apache-2.0
"""Whether a run can start in its folder, or go on from a checkpoint as if it had never stopped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.checkpoints.contents import missing_parts, newest_whole
from hf_mtl.training.checkpoints.output_folder import check_output_folder
from hf_mtl.training.checkpoints.run_state import REPLICATED, RunState
from hf_mtl.training.checkpoints.staging import recover, step_folders
from hf_mtl.training.mixture import Mixture
from hf_mtl.training.ranks import Ranks

__all__ = ["CurrentRun", "changed_tasks", "check_resumable", "start_folder"]


@dataclass(frozen=True)
class CurrentRun:
    """What a checkpoint has to fit.

    Args:
        mixture: Gives the mixture, for a checkpoint that the run goes on from.
        tasks: Names of the tasks.
        world_size: Number of ranks.
        strategy: How the ranks share the model, as in ``RunState``.
        needs_same_ranks: Whether only as many ranks as saved a checkpoint can load it.
    """

    mixture: Callable[[Path], Mixture]
    tasks: Sequence[str]
    world_size: int = 1
    strategy: str = REPLICATED
    needs_same_ranks: bool = False


def start_folder(
    args: MultiTaskTrainingArguments,
    resume_from_checkpoint: str | bool | None,
    run: CurrentRun,
    ranks: Ranks,
) -> str | bool | None:
    """The checkpoint that a run goes on from, checked; or its folder is made fit to start in.

    Args:
        args: The arguments of the run.
        resume_from_checkpoint: A checkpoint, ``True`` for the last whole one, or nothing.
        run: The run.
        ranks: Its ranks; all of them call this and get the same answer.

    Returns:
        A checkpoint, or what was given: where there is no checkpoint at all, upstream says so.

    Raises:
        ValueError: If the folder holds another run, or the checkpoint is not fit to go on from;
            on every rank.
    """

    def recovered() -> None:
        if args.should_save and Path(str(args.output_dir)).is_dir():
            recover(Path(str(args.output_dir)))

    _on_all(recovered, ranks)  # nobody looks before that is done
    folders = _on_all(lambda: _checked(args, resume_from_checkpoint, run), ranks)
    if len(set(folders)) > 1:
        found = sorted(map(str, set(folders)))
        raise ValueError(
            f"`output_dir` must be on a file system that all machines share, but in "
            f"{str(args.output_dir)!r} ranks found different checkpoints: {found}."
        )
    folder: str | bool | None = folders[0]
    return folder


def _on_all(act: Callable[[], Any], ranks: Ranks) -> list[Any]:
    """What every rank gets from an act; where it fails on one, all of them fail."""
    answer, error = None, None
    try:
        answer = act()
    except (OSError, ValueError) as found:
        error = found
    answers = ranks.gather((answer, None if error is None else str(error)))
    if error is not None:
        raise error
    if messages := [message for _, message in answers if message is not None]:
        raise ValueError(messages[0])
    return [found for found, _ in answers]


def _checked(
    args: MultiTaskTrainingArguments, resume_from_checkpoint: str | bool | None, run: CurrentRun
) -> str | bool | None:
    output_folder = Path(str(args.output_dir))
    if not resume_from_checkpoint:
        if args.should_save:
            check_output_folder(output_folder, is_overwriting=args.overwrite_output_dir)
        return resume_from_checkpoint
    if resume_from_checkpoint is True:
        all_folders = list(step_folders(output_folder).values())
        if not all_folders:
            return True
        # Where none is whole, the check below says what the last one lacks.
        resume_from_checkpoint = str(newest_whole(output_folder) or all_folders[-1])
    check_resumable(resume_from_checkpoint, run, ignore_data_skip=args.ignore_data_skip)
    return resume_from_checkpoint


def check_resumable(folder: str | Path, run: CurrentRun, *, ignore_data_skip: bool) -> None:
    """Raises unless a run can go on from a checkpoint as if it had not been interrupted.

    Args:
        folder: The checkpoint.
        run: The run that is to go on.
        ignore_data_skip: Whether the user gave up the position in the data.

    Raises:
        ValueError: If the checkpoint lacks a part of the state, or was made with another mixture
            or under a strategy whose files the run cannot read.
    """
    if missing := missing_parts(Path(folder)):
        raise ValueError(
            f"The checkpoint {str(folder)!r} must hold the whole state of a run, but it lacks "
            f"{missing}. Resume from another checkpoint; to start anew from its weights, load "
            f"them with `MultiTaskModel.from_pretrained`."
        )
    saved = RunState.read(Path(folder))
    _check_strategy(str(folder), saved, run)
    mixture = run.mixture(Path(folder))
    if not ignore_data_skip and (differences := mixture.differences(saved.mixture)):
        raise ValueError(
            f"A resumed run must draw the same rows as the run of {str(folder)!r}, but "
            f"{'; '.join(differences)}. Take the former values, or set `ignore_data_skip=True` to "
            f"start an epoch anew with the new ones, as is needed after `add_task` and "
            f"`remove_task`."
        )


def changed_tasks(saved: RunState, tasks: Sequence[str]) -> set[str]:
    """Tasks that were added or removed since a checkpoint was saved.

    Args:
        saved: The state in the checkpoint.
        tasks: The tasks that the model has.
    """
    return set() if saved.tasks is None else set(saved.tasks) ^ set(tasks)


def _check_strategy(folder: str, saved: RunState, run: CurrentRun) -> None:
    if saved.strategy != run.strategy:
        raise ValueError(
            f"The checkpoint {folder!r} must be resumed under the strategy that it was saved "
            f"under, {saved.strategy!r}, but the run is {run.strategy!r}. Launch it as before; to "
            f"start anew from its weights, load them with `MultiTaskModel.from_pretrained`."
        )
    if run.needs_same_ranks and saved.world_size != run.world_size:
        raise ValueError(
            f"A checkpoint of DeepSpeed must be resumed on the number of ranks that it was saved "
            f"on, {saved.world_size} for {folder!r}, but there are {run.world_size}. Launch as "
            f"many, or use DDP or FSDP, which take any number."
        )
    changed = sorted(changed_tasks(saved, run.tasks))
    if changed and run.strategy != REPLICATED:
        raise ValueError(
            f"A run under {run.strategy!r} must go on with the tasks of its checkpoint, but "
            f"{changed} were added or removed since {folder!r}. Resume with DDP or on one process, "
            f"or start anew from its weights with `MultiTaskModel.from_pretrained`."
        )
