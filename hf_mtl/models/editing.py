# SPDX-License-Identifier: Apache-2.0
"""Changes of the tasks of a model that is built already, checked before anything is changed."""

from collections.abc import Mapping, Sequence

from hf_mtl._checks import check_known
from hf_mtl.models.checks import check_tasks
from hf_mtl.tasks import TaskSpec, TaskSuite

__all__ = ["suite_with_labels", "suite_with_task", "suite_without_task"]


def suite_with_task(suite: TaskSuite, name: str, spec: TaskSpec) -> TaskSuite:
    """The suite with one task more; see ``MultiTaskModel.add_task``."""
    changed = suite.with_task(name, spec)
    check_tasks(changed)
    return changed


def suite_without_task(suite: TaskSuite, name: str) -> TaskSuite:
    """The suite with one task less; see ``MultiTaskModel.remove_task``."""
    check_known("task", name, suite)
    if len(suite) == 1:
        raise ValueError(
            f"`name` must leave at least one task, but {name!r} is the only one. Add another "
            f"task first."
        )
    return suite.without_task(name)


def suite_with_labels(suite: TaskSuite, labels: Mapping[str, Sequence[str]]) -> TaskSuite:
    """The suite with label names; see ``MultiTaskModel.set_labels``."""
    specs = dict(suite)
    for task, names in labels.items():
        if isinstance(names, str):
            raise TypeError(
                f"`labels` of task {task!r} must be a list of names, but got {names!r}."
            )
        known = suite[task].labels
        if known is not None and known != tuple(names):
            raise ValueError(
                f"`labels` of task {task!r} must stay {list(known)}, for which its head was "
                f"built, but got {list(names)}. Remove the task and add it again."
            )
        specs[task] = specs[task].replace(labels=tuple(names))
    changed = TaskSuite(specs)
    check_tasks(changed)
    return changed
