# SPDX-License-Identifier: Apache-2.0
"""Whether a model can be built for some tasks."""

from hf_mtl.models.heads import check_heads
from hf_mtl.models.losses import check_losses
from hf_mtl.tasks import TaskSuite

__all__ = ["check_tasks"]


def check_tasks(suite: TaskSuite) -> None:
    """Raises if a task asks for a head or a loss that is unknown or does not suit it.

    Args:
        suite: The tasks.

    Raises:
        KeyError: If a head or a loss, or a label that a loss is told of, is unknown.
        TypeError: If a field of one of them is unknown or of a wrong kind.
        ValueError: If a field has a wrong value, or one of them does not suit the task's type.
    """
    check_heads(suite)
    check_losses(suite)
