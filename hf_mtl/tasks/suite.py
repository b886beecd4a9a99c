# SPDX-License-Identifier: Apache-2.0
"""The tasks that are learned together."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

from hf_mtl._checks import check_known
from hf_mtl._registry import entry_name
from hf_mtl._yaml import dump_yaml, load_yaml
from hf_mtl.tasks.names import check_distinct, check_metric_keys, check_task_name
from hf_mtl.tasks.spec import OF_SOURCE, TaskSpec

__all__ = ["TaskSuite", "check_weights"]


class TaskSuite(Mapping[str, TaskSpec]):
    """Ordered, unchangeable mapping of names to tasks.

    Everything downstream is derived from it: heads, sources, batches, metrics, the card.

    Args:
        tasks: Each task by its name. The order is kept, and is the order of heads and reports.

    Raises:
        ValueError: If there is no task, a name is unsafe, two tasks would report under one
            metric key, or tasks on one source disagree about its batches.

    Example:
        >>> suite = TaskSuite(
        ...     {
        ...         "intent": TaskSpec("text-classification", source="requests"),
        ...         "slots": TaskSpec("token-classification", source="requests"),
        ...     }
        ... )
        >>> suite.sources
        {'requests': ('intent', 'slots')}
    """

    def __init__(self, tasks: Mapping[str, TaskSpec]) -> None:
        self._spec_by_name = dict(tasks)
        self._check()

    def __getitem__(self, name: str) -> TaskSpec:
        check_known("task", name, self._spec_by_name)
        return self._spec_by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._spec_by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._spec_by_name)

    def __len__(self) -> int:
        return len(self._spec_by_name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TaskSuite):
            return NotImplemented
        return list(self.items()) == list(other.items())

    __hash__ = None  # type: ignore[assignment]  # specs hold mappings

    def __repr__(self) -> str:
        return f"TaskSuite({self._spec_by_name!r})"

    def source_of(self, task: str) -> str:
        """Name of the source that a task is on."""
        return self[task].source or task

    @cached_property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """Tasks of each source, both in the order of the tasks."""
        tasks_by_source: dict[str, list[str]] = {}
        for task, spec in self.items():
            tasks_by_source.setdefault(spec.source or task, []).append(task)
        return {source: tuple(tasks) for source, tasks in tasks_by_source.items()}

    @cached_property
    def weights(self) -> dict[str, float]:
        """Weight of each task's loss, scaled so that they average 1 over the suite.

        A suite of tasks that are all without weight can be evaluated; its weights are 0.
        """
        mean = sum(spec.weight for spec in self.values()) / len(self)
        return {name: spec.weight / mean if mean else 0.0 for name, spec in self.items()}

    def weights_at(self, progress: float) -> dict[str, float]:
        """Weight of each task's loss at some time, 0 where it is absent.

        Args:
            progress: Progress of the training, from 0 to 1.
        """
        return {
            name: weight * self[name].task_schedule.factor(progress)
            for name, weight in self.weights.items()
        }

    @property
    def turns(self) -> list[float]:
        """Progress at which the schedule of a task turns, in order, 0 and 1 among them."""
        return sorted({0.0, 1.0}.union(*(spec.task_schedule.turns for spec in self.values())))

    def replace(self, task: str, **changes: Any) -> "TaskSuite":
        """A suite in which some fields of one task are changed."""
        return TaskSuite({**self, task: self[task].replace(**changes)})

    def with_task(self, name: str, spec: TaskSpec) -> "TaskSuite":
        """A suite with one more task, at the end.

        Raises:
            ValueError: If there is a task of that name.
        """
        if name in self:
            raise ValueError(
                f"`name` must be new, but there is a task {name!r} already. Tasks: {list(self)}."
            )
        return TaskSuite({**self, name: spec})

    def without_task(self, name: str) -> "TaskSuite":
        """A suite with one task less."""
        check_known("task", name, self)
        return self.subset(other for other in self if other != name)

    def subset(self, names: Iterable[str]) -> "TaskSuite":
        """A suite of some of the tasks, in this suite's order."""
        wanted = {name: self[name] for name in names}
        return TaskSuite({name: spec for name, spec in self.items() if name in wanted})

    def to_list(self) -> list[dict[str, Any]]:
        """Plain values: a list, because JSON files of configs sort the keys of mappings."""
        return [{"name": name, **spec.to_dict()} for name, spec in self.items()]

    @classmethod
    def from_list(cls, tasks: Iterable[Mapping[str, Any]]) -> "TaskSuite":
        """Inverse of ``to_list``.

        Raises:
            ValueError: If two tasks have one name.
            TypeError: If a task has no name, or an unknown field.
        """
        specs: dict[str, TaskSpec] = {}
        for given in tasks:
            if "name" not in given:
                raise TypeError(f"A task must have a `name`, but got {dict(given)}.")
            name = given["name"]
            if name in specs:
                raise ValueError(f"Task names must be distinct, but {name!r} is given twice.")
            specs[name] = TaskSpec.from_dict({key: given[key] for key in given if key != "name"})
        return cls(specs)

    def to_json(self) -> str:
        """JSON text."""
        return json.dumps(self.to_list(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "TaskSuite":
        """Inverse of ``to_json``."""
        return cls.from_list(json.loads(text))

    def to_yaml(self) -> str:
        """YAML text, as in the ``tasks`` of a recipe."""
        return dump_yaml({name: spec.to_dict() for name, spec in self.items()})

    @classmethod
    def from_yaml(cls, text: str) -> "TaskSuite":
        """Inverse of ``to_yaml``.

        Raises:
            ValueError: If the text is no YAML, is no mapping, or gives a task twice.
        """
        tasks = load_yaml(text, "tasks")
        if not isinstance(tasks, Mapping):
            raise ValueError(f"Tasks must be a mapping of names to tasks, but got {tasks!r}.")
        return cls({name: TaskSpec.from_dict(given) for name, given in tasks.items()})

    def _check(self) -> None:
        if not self._spec_by_name:
            raise ValueError("`tasks` must hold at least one task, but got none.")
        for name, spec in self._spec_by_name.items():
            check_task_name(name)
            if not isinstance(spec, TaskSpec):
                raise TypeError(f"Task {name!r} must be a `TaskSpec`, but got {spec!r}.")
        check_distinct(self._spec_by_name)
        check_metric_keys(
            {task: map(entry_name, spec.metric_entries) for task, spec in self.items()}
        )
        self._check_sources()

    def _check_sources(self) -> None:
        for source, (first, *others) in self.sources.items():
            for other in others:
                for name in OF_SOURCE:
                    values = getattr(self[first], name), getattr(self[other], name)
                    if values[0] != values[1]:
                        raise ValueError(
                            f"`{name}` must be the same for all tasks on source {source!r}, but "
                            f"{first!r} has {values[0]} and {other!r} has {values[1]}."
                        )


def check_weights(suite: TaskSuite) -> None:
    """Raises ``ValueError`` if at some time no task of a suite has a weight to be trained with."""
    if not any(spec.weight for spec in suite.values()):
        raise ValueError(
            f"`weight` must be above 0 for at least one task, but it is 0 for all of {list(suite)}."
        )
    for begin, end in pairwise(suite.turns):
        if not any(suite.weights_at((begin + end) / 2).values()):
            raise ValueError(
                f"`schedule` must leave at least one task at every time, but between {begin:g} and "
                f"{end:g} of the training there is none."
            )
