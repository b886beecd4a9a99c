# SPDX-License-Identifier: Apache-2.0
"""The moment between a movement of the optimizer and the checkpoint that may follow it."""

from collections.abc import Callable, Mapping
from typing import Any

from transformers import TrainerCallback

__all__ = ["AfterStep"]


class AfterStep(TrainerCallback):
    """Tells the trainer what upstream has no hook for.

    Args:
        step_made: Called when the parameters have moved, before anything is logged or saved.
        evaluated: Called with the metrics of an evaluation during training.
    """

    def __init__(
        self, step_made: Callable[[], None], evaluated: Callable[[Mapping[str, float]], None]
    ) -> None:
        self._step_made = step_made
        self._evaluated = evaluated

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Passes it on."""
        self._step_made()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Passes the metrics on."""
        self._evaluated(kwargs["metrics"])
