# SPDX-License-Identifier: Apache-2.0
"""Losses that are NaN or infinite: found before they reach a parameter, on all ranks alike."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers.utils import logging

from hf_mtl.training.ranks import Ranks

__all__ = ["NONFINITE_RULES", "NonFiniteLoss", "check_finite", "tasks_to_skip"]

logger = logging.get_logger(__name__)

NONFINITE_RULES = ("stop", "skip_task", "skip_step")
"""What happens in a step with a loss that is not finite: the run stops, the step goes on without
that task, or the step is passed over."""


class NonFiniteLoss(Exception):
    """Losses of a step are not finite; every rank raises it at the same point.

    Args:
        tasks: The tasks that have such a loss, on any rank.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(f"losses of {list(tasks)} are not finite")
        self.tasks = tuple(tasks)


def check_finite(losses: Mapping[str, Tensor], ranks: Ranks) -> None:
    """Raises ``NonFiniteLoss`` on all ranks if a loss is not finite on any of them.

    Args:
        losses: Loss of each task in the step so far, the same tasks on every rank.
        ranks: The ranks of the run.
    """
    if not losses:
        return
    # One look at the device for all tasks.
    flags = torch.stack([~torch.isfinite(loss) for loss in losses.values()]).tolist()
    counts = ranks.sum([float(flag) for flag in flags])
    if tasks := [task for task, count in zip(losses, counts, strict=True) if count]:
        raise NonFiniteLoss(tasks)


def tasks_to_skip(
    found: NonFiniteLoss, present: Sequence[str], rule: str, step: int
) -> tuple[str, ...]:
    """Tasks that a step goes on without; all of them, if it is to be passed over.

    Args:
        found: What was found.
        present: Tasks of the step.
        rule: One of ``NONFINITE_RULES``.
        step: Number of the step, from 1.

    Raises:
        FloatingPointError: If the run is to stop.
    """
    names = ", ".join(repr(task) for task in found.tasks)
    if rule == "stop":
        raise FloatingPointError(
            f"The loss of every task must be finite, but that of {names} is not at step {step}. "
            f"No parameter was changed by this step. Look at the rows of that task, lower "
            f"`learning_rate`, or set `on_nonfinite` to 'skip_task' or 'skip_step' to go on."
        )
    left = [task for task in present if task not in found.tasks]
    skips_step = rule == "skip_step" or not left
    what = "the step is passed over" if skips_step else f"the step goes on with {left}"
    logger.warning(f"The loss of {names} is not finite at step {step}: {what}.")
    return tuple(present) if skips_step else found.tasks
