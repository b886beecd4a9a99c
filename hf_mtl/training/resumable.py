# SPDX-License-Identifier: Apache-2.0
"""The Trainer of transformers with checkpoints that are whole, and runs that go on exactly."""

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import Trainer, TrainerState
from transformers.trainer_utils import TrainOutput

from hf_mtl.models import MultiTaskModel
from hf_mtl.tasks import TaskSuite
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.checkpoints.fitting import check_complete
from hf_mtl.training.checkpoints.optimizer_state import (
    load_whole_state,
    loading_by_name,
    parameter_names,
)
from hf_mtl.training.checkpoints.preemption import preemption_of
from hf_mtl.training.checkpoints.resuming import CurrentRun, changed_tasks, start_folder
from hf_mtl.training.checkpoints.run_state import REPLICATED, RunState
from hf_mtl.training.checkpoints.saving import Saving
from hf_mtl.training.checkpoints.staging import StagedCheckpoint, rotate
from hf_mtl.training.checkpoints.stateful import Stateful, load_parts, merged_states
from hf_mtl.training.checkpoints.tensor_files import (
    TensorPart,
    load_tensor_files,
    save_tensor_files,
)
from hf_mtl.training.faults import lost_rank_named, lost_worker_named
from hf_mtl.training.mixture import Mixture
from hf_mtl.training.ranks import Ranks
from hf_mtl.training.strategies import Strategy

__all__ = ["ResumableTrainer"]

_WHOLE_STATE_FILE = "optimizer.bin"  # FSDP2's
_SCHEDULER_FILE = "scheduler.pt"


class ResumableTrainer(Trainer):
    """Saves and loads a run.

    ===============================  =========================================  =================
    hook                             why                                        done by
    ===============================  =========================================  =================
    ``train``                        no run is overwritten by chance; the last  ``resuming``,
                                     whole checkpoint is found; SIGTERM; lost   ``preemption``,
                                     ranks and workers                          ``faults``
    ``_save_checkpoint``             all or nothing, with our own state         ``saving``
    ``save_model``                   a failure on one rank ends all of them     ``saving``
    ``_get_output_dir``              files go to the staging folder first       ``staging``
    ``_push_from_checkpoint``        what is pushed is in its place             ``Trainer``
    ``_load_from_checkpoint``        a partial load is refused                  ``fitting``
    ``_load_best_model``             a partial load is refused                  ``fitting``
    ``_load_optimizer_and_...``      moments by name; state of other parts      ``optimizer_state``
    ``_run_epoch``                   a run that was done takes no more steps    ``Trainer``
    ===============================  =========================================  =================
    """

    args: MultiTaskTrainingArguments
    model: MultiTaskModel
    ranks: Ranks
    strategy: Strategy
    _saving: Saving | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._preemption = preemption_of(self)

    @property
    @abstractmethod
    def suite(self) -> TaskSuite:
        """The tasks of the model."""

    @abstractmethod
    def _mixture(self) -> Mixture:
        """All that decides which rows come when."""

    def _stateful_parts(self) -> Mapping[str, Stateful]:
        """Whatever else has a state, by the name it has in ``multitask_state.json``.

        Asked when a checkpoint is saved, and when one was loaded, after the data loader, model and
        optimizer of the run are made and before its first step.
        """
        return {}

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Trains, from the start or from a checkpoint.

        Args:
            resume_from_checkpoint: A checkpoint's folder, or ``True`` for the last whole one in
                ``output_dir``.
            trial: As in ``Trainer``.
            ignore_keys_for_eval: As in ``Trainer``.

        Raises:
            Preempted: With ``enable_jit_checkpoint``, after SIGTERM, when the run is saved. The
                process ends with code 75 unless it is caught.
            SavingError: If a checkpoint cannot be saved.
            ValueError: If ``output_dir`` holds another run, or a checkpoint does not fit.
        """
        with (
            lost_rank_named(lambda: self.state.global_step + 1, self.ranks.world_size),
            lost_worker_named(self.args.dataloader_num_workers),
        ):
            return self._train(resume_from_checkpoint, trial, ignore_keys_for_eval)

    def _train(
        self, resume_from_checkpoint: str | bool | None, trial: Any, ignored: list[str] | None
    ) -> TrainOutput:
        is_first_run = trial is None and self.state.global_step == 0
        if resume_from_checkpoint or is_first_run:
            resume_from_checkpoint = start_folder(
                self.args, resume_from_checkpoint, self._current_run(), self.ranks
            )
        with self._preemption.listening() if self._preemption else nullcontext():
            return super().train(resume_from_checkpoint, trial, ignored)

    def _tensor_parts(self) -> Mapping[str, TensorPart]:
        """Whatever remembers tensors, by the name of its file in a checkpoint; asked likewise."""
        return {}

    # Saving

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        staged = StagedCheckpoint(Path(self._get_output_dir(trial)), self.state.global_step)
        run_state = self._run_state()
        saving = self._saving = Saving(
            staged,
            self.ranks,
            is_saver=self.args.should_save,
            is_sharded=self.strategy.layout != REPLICATED,
        )
        try:
            with saving.publishing(run_state):
                super()._save_checkpoint(model, trial)
                if self.args.should_save:
                    save_tensor_files(self._tensor_parts(), staged.folder)
                saving.complete(self.state)
        finally:
            self._saving = None
        self._after_saving(staged)

    def _after_saving(self, staged: StagedCheckpoint) -> None:
        if self.args.push_to_hub:
            self._push_from_checkpoint(str(staged.place))
        if self.args.should_save:
            best = self.state.best_model_checkpoint
            keep = [] if best is None else [Path(best)]
            limit = self.args.save_total_limit
            rotate(staged.run_folder, limit, last=staged.step, keep=keep)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As in ``Trainer``."""
        saving = self._saving if _internal_call else None
        with nullcontext() if saving is None else saving.same_outcome():
            super().save_model(output_dir, _internal_call)

    def _get_output_dir(self, trial: Any) -> str:
        if self._saving is not None:
            return str(self._saving.staged.root)
        return str(super()._get_output_dir(trial))

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        if self._saving is None:
            super()._push_from_checkpoint(checkpoint_folder)

    def _run_state(self) -> RunState:
        names = [] if self.is_deepspeed_enabled else self._parameter_names()
        return RunState(
            mixture=self._mixture().to_dict(),
            step=self.state.global_step,
            tasks=list(self.suite),
            parameter_names=names,
            world_size=self.args.world_size,
            strategy=self.strategy.layout,
            parts=merged_states(self._stateful_parts(), self.ranks),
        )

    def _parameter_names(self) -> list[list[str]]:
        return parameter_names(self.model, self.optimizer)

    def _current_run(self) -> CurrentRun:
        return CurrentRun(
            self._mixture_after,
            list(self.suite),
            self.args.world_size,
            self.strategy.layout,
            self.strategy.needs_same_ranks,
        )

    def _mixture_after(self, checkpoint: Path) -> Mixture:
        if self.args.auto_find_batch_size:
            # What upstream does a little later: it goes on with the size that was found.
            state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
            self._train_batch_size = state.train_batch_size or self._train_batch_size
        return self._mixture()

    # Loading

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        changed = changed_tasks(RunState.read(Path(resume_from_checkpoint)), list(self.suite))
        model = self.model if model is None else model
        check_complete(resume_from_checkpoint, model, changed_tasks=changed)
        super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        check_complete(str(self.state.best_model_checkpoint), self.model)
        super()._load_best_model()

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        saved = RunState.read(Path(checkpoint))
        current = [] if self.is_deepspeed_enabled else self._parameter_names()
        if self.is_fsdp_enabled:
            scheduler: Any = self.lr_scheduler
            scheduler.load_state_dict(_read(Path(checkpoint) / _SCHEDULER_FILE))
            whole = _read(Path(checkpoint) / _WHOLE_STATE_FILE)
            load_whole_state(self.optimizer, whole, current)
        else:
            with loading_by_name(self.optimizer, saved.parameter_names, current):
                super()._load_optimizer_and_scheduler(checkpoint)
        parts, files, states = self._stateful_parts(), self._tensor_parts(), saved.parts
        if self.args.ignore_data_skip:
            parts = {name: part for name, part in parts.items() if name in saved.parts}
            files = {name: part for name, part in files.items() if name in saved.files}
            states = {name: state for name, state in states.items() if name in parts}
        load_parts(parts, states, checkpoint)
        load_tensor_files(files, Path(checkpoint))

    def _run_epoch(self, *args: Any, **settings: Any) -> Any:
        # Upstream would take one step more where a run was done, or has been ended early.
        is_done = self.state.global_step >= self.state.max_steps
        if is_done or self.control.should_training_stop:
            self.control.should_training_stop = True
            return None
        return super()._run_epoch(*args, **settings)


def _read(file: Path) -> Any:
    return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
