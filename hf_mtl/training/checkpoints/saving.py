# SPDX-License-Identifier: Apache-2.0
"""One checkpoint on its way into its place: written by all ranks, published by one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial

from transformers import TrainerState

from hf_mtl.training.checkpoints.contents import file_sizes, newest_whole
from hf_mtl.training.checkpoints.errors import SavingError, same_outcome
from hf_mtl.training.checkpoints.run_state import RunState
from hf_mtl.training.checkpoints.staging import StagedCheckpoint
from hf_mtl.training.ranks import Ranks

__all__ = ["Saving"]

_TRAINER_STATE_FILE = "trainer_state.json"


class Saving:
    """A checkpoint that is being saved.

    Args:
        staged: Where it is written and where it is to be.
        ranks: The ranks; each of them makes one and calls the same methods.
        is_saver: Whether this rank prepares and publishes the folder.
        is_sharded: Whether ranks meet while files are written, to put the model together.
    """

    def __init__(
        self, staged: StagedCheckpoint, ranks: Ranks, *, is_saver: bool, is_sharded: bool
    ) -> None:
        self.staged = staged
        self._ranks = ranks
        self._is_saver = is_saver
        self._is_sharded = is_sharded

    @contextmanager
    def publishing(self, run_state: RunState) -> Iterator[None]:
        """Inside, files are written into ``staged.folder``; afterwards they are in their place.

        Args:
            run_state: Written last, with the sizes of all other files.

        Raises:
            SavingError: On every rank, if any of them failed; nothing is left of the checkpoint.
        """
        try:
            with self._same_outcome(is_sharded=False):
                if self._is_saver:
                    self.staged.prepare()
            with self.same_outcome():
                yield
            with self._same_outcome(is_sharded=False):
                if self._is_saver:
                    self._publish(run_state)
        except SavingError:
            if self._is_saver:
                self.staged.discard()
            raise

    def same_outcome(self) -> AbstractContextManager[None]:
        """A part of the writing after which ranks wait for each other: all of them fail there."""
        return self._same_outcome(is_sharded=self._is_sharded)

    def complete(self, state: TrainerState) -> None:
        """Has the saved state name the best checkpoint by the place that it will have.

        Args:
            state: The state; upstream has just saved it, with the folder that it wrote into.
        """
        best = self.staged.run_folder / f"checkpoint-{state.best_global_step}"
        if state.best_global_step and (best == self.staged.place or best.is_dir()):
            state.best_model_checkpoint = str(best)
        if self._is_saver:
            state.save_to_json(str(self.staged.folder / _TRAINER_STATE_FILE))

    def _publish(self, run_state: RunState) -> None:
        folder = self.staged.folder
        replace(run_state, files=file_sizes(folder)).write(folder)
        self.staged.publish()

    def _same_outcome(self, *, is_sharded: bool) -> AbstractContextManager[None]:
        last_good = partial(newest_whole, self.staged.run_folder)
        return same_outcome(self._ranks, self.staged.place, last_good, is_sharded=is_sharded)
