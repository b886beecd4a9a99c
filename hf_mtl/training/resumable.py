# SPDX-License-Identifier: Apache-2.0
"""The Trainer of transformers with checkpoints that are whole, and runs that go on exactly."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

from torch import nn
from transformers import Trainer
from transformers.trainer_utils import TrainOutput

from hf_mtl.models import MultiTaskModel
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.checkpoint import check_complete, check_start
from hf_mtl.training.mixture import Mixture
from hf_mtl.training.ranks import Ranks

__all__ = ["ResumableTrainer"]


class ResumableTrainer(Trainer):
    """Saves and loads a run.

    ==========================  ==============================================  =================
    hook                        why                                             done by
    ==========================  ==============================================  =================
    ``train``                   no run is overwritten by chance                 ``checkpoint``
    ``_save_checkpoint``        says which data order it belongs to             ``mixture``
    ``_load_from_checkpoint``   a partial load is refused                       ``checkpoint``
    ``_load_best_model``        a partial load is refused                       ``checkpoint``
    ==========================  ==============================================  =================
    """

    args: MultiTaskTrainingArguments
    model: MultiTaskModel
    ranks: Ranks

    @abstractmethod
    def _mixture(self) -> Mixture:
        """All that decides which rows come when."""

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Trains, from the start or from a checkpoint.

        Args:
            resume_from_checkpoint: A checkpoint's folder, or ``True`` for the last one in
                ``output_dir``.
            trial: As in ``Trainer``.
            ignore_keys_for_eval: As in ``Trainer``.

        Raises:
            ValueError: If ``output_dir`` holds another run, or a checkpoint does not fit.
        """
        is_first_run = trial is None and self.state.global_step == 0
        if resume_from_checkpoint or is_first_run:
            check_start(self.args, resume_from_checkpoint, self._mixture)
        return super().train(resume_from_checkpoint, trial, ignore_keys_for_eval)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial))
            self._mixture().save(folder / f"checkpoint-{self.state.global_step}")

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        check_complete(resume_from_checkpoint, self.model if model is None else model)
        super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        check_complete(str(self.state.best_model_checkpoint), self.model)
        super()._load_best_model()
