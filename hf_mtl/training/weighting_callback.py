# SPDX-License-Identifier: Apache-2.0
"""Moments of a run that a weighting learns at, and that upstream has no other hook for."""

from collections.abc import Callable, Mapping
from typing import Any

from transformers import TrainerCallback

__all__ = ["WeightingCallback"]


class WeightingCallback(TrainerCallback):
    """Tells the trainer of them.

    Args:
        run_begins: Called when a checkpoint is loaded, if there is one, and before any evaluation.
        step_ends: Called when the optimizer has moved, before anything is logged or saved.
        was_evaluated: Called with the metrics of an evaluation during training.
    """

    def __init__(
        self,
        run_begins: Callable[[], None],
        step_ends: Callable[[], None],
        was_evaluated: Callable[[Mapping[str, float]], None],
    ) -> None:
        self._run_begins = run_begins
        self._step_ends = step_ends
        self._was_evaluated = was_evaluated

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Passes it on."""
        self._run_begins()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Passes it on."""
        self._step_ends()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Passes the metrics on."""
        self._was_evaluated(kwargs["metrics"])
