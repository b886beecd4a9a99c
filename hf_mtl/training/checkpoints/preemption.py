# SPDX-License-Identifier: Apache-2.0
"""A run that is told to leave (SIGTERM) saves after its step and ends with a code of its own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers.trainer_jit_checkpoint import CheckpointManager, JITCheckpointCallback
from transformers.utils import logging

__all__ = ["EXIT_CODE", "Preempted", "PreemptionCallback", "outlive_sigterm", "preemption_of"]

logger = logging.get_logger(__name__)

EXIT_CODE = 75
"""Exit code of a run that was preempted after it had saved: ``EX_TEMPFAIL`` of sysexits.h."""


class Preempted(SystemExit):
    """The run was told to leave, and has saved: the process ends with code 75.

    Going on needs ``resume_from_checkpoint=True`` and nothing else.
    """

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


class _Signal(CheckpointManager):
    """Remembers SIGTERM at once: saving is atomic, so a kill that follows does no harm."""

    def _sigterm_handler(self, signum: int, frame: Any) -> None:
        del signum, frame
        self.is_checkpoint_requested = True


class PreemptionCallback(JITCheckpointCallback):
    """Upstream's just-in-time checkpoint, at the end of a step and on all ranks alike.

    Upstream saves wherever the signal meets it, also between gradients and optimizer step, and each
    rank on its own. Here the ranks ask each other after every step, so that a signal to one of them
    stops all after the same step, and the checkpoint is the Trainer's own, saved atomically. An
    evaluation that is due at that very step is left out: there may be little time.
    """

    jit_manager: _Signal

    def __init__(self, trainer: Any) -> None:
        super().__init__()
        self.trainer: Any = trainer
        self.jit_manager = _Signal(trainer, kill_wait=0)
        self.is_leaving = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, SIGTERM is remembered; afterwards it means what it meant before."""
        self.is_leaving = self.jit_manager.is_checkpoint_requested = False
        self.jit_manager.setup_signal_handler()
        try:
            yield
        finally:
            signal.signal(
                signal.SIGTERM, self.jit_manager._original_sigterm_handler or signal.SIG_DFL
            )

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Nothing: a step that has begun is finished."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Nothing: a step that has begun is finished."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Has the step saved as the last one, if any rank was told to leave."""
        if self.trainer.ranks.any(self.jit_manager.is_checkpoint_requested):
            self.is_leaving = True
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leaves, before anything that belongs to the end of an epoch or of training."""
        if self.is_leaving:
            if state.is_world_process_zero:
                logger.warning(
                    f"SIGTERM: saved after step {state.global_step}, leaving with exit code "
                    f"{EXIT_CODE}. Go on with `resume_from_checkpoint=True`, or "
                    f"`hf-mtl train --resume`."
                )
            raise Preempted

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Nothing: ``listening`` restores the signal."""


def outlive_sigterm(worker_id: int) -> None:
    """Has a worker of a data loader ignore SIGTERM, which schedulers send to every process.

    The step that is being made still needs it; it ends when its parent does.

    Args:
        worker_id: Number of the worker.
    """
    del worker_id
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def preemption_of(trainer: Any) -> PreemptionCallback | None:
    """Our callback in place of upstream's, for a trainer that was just built.

    Args:
        trainer: The trainer.

    Returns:
        The callback; ``None`` unless ``enable_jit_checkpoint`` is set.

    Raises:
        ValueError: If what would be saved could not be resumed.
    """
    upstream = trainer.pop_callback(JITCheckpointCallback)
    if upstream is None:
        return None
    # Upstream listens from construction on, where nothing would answer the signal.
    _restore(upstream.jit_manager)
    if trainer.args.save_only_model:
        raise ValueError(
            "`save_only_model` must be False with `enable_jit_checkpoint`, because a run cannot "
            "go on from weights alone, but got True. Leave one of the two out."
        )
    callback = PreemptionCallback(trainer)
    trainer.add_callback(callback)
    return callback


def _restore(manager: CheckpointManager) -> None:
    signal.signal(signal.SIGTERM, manager._original_sigterm_handler or signal.SIG_DFL)
