# SPDX-License-Identifier: Apache-2.0
"""The section ``tasks`` of a recipe, read into a suite."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

from hf_mtl._checks import nearest, unknown_name
from hf_mtl.evaluation import check_metrics
from hf_mtl.models import check_tasks
from hf_mtl.models.losses import check_losses
from hf_mtl.tasks import TaskSpec, TaskSuite, check_weights
from hf_mtl.tasks.names import check_task_name
from hf_mtl.tasks.spec import OF_SOURCE
from hf_mtl.training.recipe.problems import Problems
from hf_mtl.training.recipe.sections import known_fields, mapping_at

__all__ = ["read_suite"]

_FIELDS = tuple(field.name for field in fields(TaskSpec))
# Fields that decide what is read of rows, and those that tasks on the same rows must agree on.
_DECISIVE = frozenset({"columns", "labels", "options", "source", *OF_SOURCE})


def read_suite(
    tasks: Mapping[str, Any], sources: Mapping[str, object], problems: Problems
) -> TaskSuite | None:
    """Suite of the tasks whose rows can be judged, ``None`` if there is none.

    What is wrong is noted. A task with a fault that does not change what is read of its rows is
    there without its wrong fields, so that the rest of the recipe is judged as it was meant.

    Args:
        tasks: The section ``tasks``.
        sources: All sources by name.
        problems: Where problems are noted.
    """
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
    """Task from its mapping without the fields that are wrong, each of which is noted.

    ``None`` if one of them, or what a misspelt one may stand for, decides what rows are.
    """
    path = f"tasks.{name}"
    written = mapping_at(path, section, problems)
    given = known_fields(path, written, (*_FIELDS, "data"), problems)
    given.pop("data", None)
    bare = _bare_spec(path, given, problems)
    is_named = False
    with problems.at(path):
        check_task_name(name)
        if bare is not None:
            TaskSuite({name: bare})
        is_named = True
    if bare is None:
        return None
    right: dict[str, Any] = {"type": bare.type}
    for field, value in given.items():
        with problems.at(f"{path}.{field}"):
            # A name that is refused must not be refused again with every field.
            alone = TaskSpec.from_dict({"type": bare.type, field: value})
            _check(name if is_named else "task", alone)
            right[field] = value
    wrong = written.keys() - right.keys() - {"data"}
    if not is_named or any((nearest(field, _FIELDS) or "columns") in _DECISIVE for field in wrong):
        return None
    with problems.at(path):
        spec = TaskSpec.from_dict(right)
        with problems.at(f"{path}.loss"):
            check_losses(TaskSuite({name: spec}))  # again, with the labels known that it may name
        return spec
    return None


def _bare_spec(path: str, given: Mapping[str, Any], problems: Problems) -> TaskSpec | None:
    """Task of a type and nothing else, ``None`` if there is no such type."""
    if "type" not in given:
        problems.add(path, "A task must have a `type`, such as `type: text-classification`.")
        return None
    with problems.at(f"{path}.type"):
        return TaskSpec.from_dict({"type": given["type"]})
    return None


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
