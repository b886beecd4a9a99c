# SPDX-License-Identifier: Apache-2.0
"""The section ``tasks`` of a recipe, read into a suite."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

from hf_mtl._checks import unknown_name
from hf_mtl.evaluation import check_metrics
from hf_mtl.models import check_tasks
from hf_mtl.models.losses import check_losses
from hf_mtl.tasks import TaskSpec, TaskSuite, check_weights
from hf_mtl.training.recipe.problems import Problems
from hf_mtl.training.recipe.sections import known_fields, mapping_at

__all__ = ["read_suite"]

_FIELDS = tuple(field.name for field in fields(TaskSpec))


def read_suite(
    tasks: Mapping[str, Any], sources: Mapping[str, object], problems: Problems
) -> TaskSuite | None:
    """Suite of the tasks that are right, ``None`` if no task is.

    A wrong task is noted, and the others are judged all the same.

    Args:
        tasks: The section ``tasks``.
        sources: All sources by name.
        problems: Where problems are noted.
    """
    if not tasks:
        problems.add(
            "tasks", "There must be at least one task. Write `tasks: {name: {type: ...}}`."
        )
    specs: dict[str, TaskSpec] = {}
    for name, section in tasks.items():
        spec = _read_spec(name, section, problems)
        _check_source(f"tasks.{name}", name, section, sources, problems)
        if spec is not None:
            specs[name] = spec
    suite = _joined(specs, problems) if specs else None
    if suite is not None:
        with problems.at("tasks"):
            check_weights(suite)
            return suite
    return None


def _joined(specs: Mapping[str, TaskSpec], problems: Problems) -> TaskSuite | None:
    """Suite of all tasks, or of those that suit each other; the others are noted."""
    # Tasks are added one by one only where some are wrong: each time all are checked.
    with suppress(TypeError, ValueError):
        return TaskSuite(specs)
    right: dict[str, TaskSpec] = {}
    for name, spec in specs.items():
        with problems.at(f"tasks.{name}"):
            TaskSuite({**right, name: spec})
            right[name] = spec
    return TaskSuite(right) if right else None


def _read_spec(name: str, section: object, problems: Problems) -> TaskSpec | None:
    """Task from its mapping; fields that are wrong are noted one by one."""
    path = f"tasks.{name}"
    before = len(problems.found)
    given = known_fields(path, mapping_at(path, section, problems), (*_FIELDS, "data"), problems)
    given.pop("data", None)
    if "type" not in given:
        problems.add(path, "A task must have a `type`, such as `type: text-classification`.")
        return None
    with problems.at(f"{path}.type"):
        bare = TaskSpec.from_dict({"type": given["type"]})
        # A name that is refused must not be refused again with every field.
        usable_name = "task"
        with problems.at(path):
            TaskSuite({name: bare})
            usable_name = name
        for field, value in given.items():
            with problems.at(f"{path}.{field}"):
                _check(usable_name, TaskSpec.from_dict({"type": given["type"], field: value}))
    if len(problems.found) > before:
        return None
    spec = TaskSpec.from_dict(given)
    with problems.at(f"{path}.loss"):
        check_losses(TaskSuite({name: spec}))  # again, with the labels known that it may name
    return spec


def _check(name: str, spec: TaskSpec) -> None:
    """Raises unless metrics, head and loss are there and suit the task."""
    alone = TaskSuite({name: spec})
    check_metrics(alone)
    check_tasks(alone)


def _check_source(
    path: str,
    name: str,
    section: object,
    sources: Mapping[str, object],
    problems: Problems,
) -> None:
    """Notes a task that has no rows, or rows twice."""
    if not isinstance(section, Mapping):
        return
    source = section.get("source")
    if source is not None and not isinstance(source, str):
        problems.add(
            f"{path}.source", f"`source` must be the name of a source, but got {source!r}."
        )
    elif source is not None and "data" in section and source != name:
        problems.add(
            path,
            f"A task has `data` or `source`, not both, but got `source: {source}` as well. Leave "
            f"one of the two out.",
        )
    elif source is not None and source not in sources:
        problems.add(f"{path}.source", unknown_name("source", source, sources))
    elif source is None and name not in sources:
        problems.add(
            path,
            "The task has no rows. Give it `data: {path: ...}`, or `source:` with a name that "
            "stands in `sources`.",
        )
