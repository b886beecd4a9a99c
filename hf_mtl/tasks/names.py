# SPDX-License-Identifier: Apache-2.0
"""Which names a task may have: they become file names, module names and metric keys."""

import re
from collections.abc import Iterable, Mapping

from torch import nn

__all__ = ["check_metric_keys", "check_task_name"]

_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_RESERVED_KEYS = frozenset(
    {
        "delta_m",
        "loss",
        "mean",
        "weighted_mean",
        "runtime",
        "samples_per_second",
        "steps_per_second",
        "model_preparation_time",
    }
)
# Device files of Windows, which no folder may be called.
_DEVICES = frozenset({"con", "prn", "aux", "nul"}) | {
    f"{device}{number}" for device in ("com", "lpt") for number in range(1, 10)
}


def check_task_name(name: str) -> None:
    """Raises ``ValueError`` unless the name is safe as file name, module name and metric key."""
    if not isinstance(name, str) or not _PATTERN.fullmatch(name):
        raise ValueError(
            f"A task name must begin with a letter and hold only letters, digits, '_' and '-' "
            f"(at most 64), but got {name!r}. Rename the task."
        )
    if name in _RESERVED_KEYS:
        raise ValueError(
            f"A task name must not be {name!r}, which is a metric key of its own. Rename the task."
        )
    if name.lower() in _DEVICES:
        raise ValueError(
            f"A task name must be usable as a file name, but {name!r} is a device on Windows. "
            f"Rename the task."
        )
    if hasattr(nn.ModuleDict, name) or name == "training":
        raise ValueError(
            f"A task name must be usable as a module name, but {name!r} is an attribute of "
            f"`torch.nn.ModuleDict`. Rename the task, for example to '{name}_task'."
        )


def check_distinct(names: Iterable[str]) -> None:
    """Raises ``ValueError`` if two names differ only by case, which some file systems ignore."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise ValueError(
                f"Task names must differ by more than case, but got {other!r} and {name!r}. "
                f"Rename one of them."
            )


def check_metric_keys(metrics_by_task: Mapping[str, Iterable[str]]) -> None:
    """Raises ``ValueError`` if two tasks would report under one metric key.

    Args:
        metrics_by_task: Metric names of every task; its loss is added here.

    Raises:
        ValueError: If ``{task}_{metric}`` of two tasks are one key, or is a key of the whole run.
    """
    task_by_key: dict[str, str] = {}
    for task, metrics in metrics_by_task.items():
        for metric in {"loss", *metrics}:
            key = f"{task}_{metric}"
            if key in _RESERVED_KEYS:
                raise ValueError(
                    f"Task {task!r} with metric {metric!r} must not report as {key!r}, which is a "
                    f"metric key of its own. Rename the task."
                )
            other = task_by_key.setdefault(key, task)
            if other != task:
                raise ValueError(
                    f"Tasks must not share a metric key, but {other!r} and {task!r} would both "
                    f"report as {key!r}. Rename one of them."
                )
