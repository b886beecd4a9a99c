# SPDX-License-Identifier: Apache-2.0
"""What one task is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from hf_mtl._checks import check_known, unknown_name
from hf_mtl._numbers import check_not_negative, check_positive
from hf_mtl._typing import Entry
from hf_mtl.tasks.base import TASK_TYPES, TaskType
from hf_mtl.tasks.schedule import TaskSchedule

__all__ = ["OF_SOURCE", "Columns", "TaskSpec"]

Columns = str | tuple[str, ...]
"""Column of a role, or those of the entries of its lists."""

OF_SOURCE = ("max_length", "batch_size", "batch_tokens")
"""Fields, positive whole numbers, that concern rows and must be those of all tasks on them."""


@dataclass(frozen=True)
class TaskSpec:
    """One task: its type, its columns, its labels, its metrics, its weight.

    It says what is learned and never where data lies, and survives JSON and YAML.

    Args:
        type: Name of the task type, such as ``"text-classification"``.
        options: Fields of the type, for types that have any, such as ``{"stride": 64}``.
        columns: Column of the data set for each role of the type, such as
            ``{"text": "body", "label": "group"}``; a role left out is in the column of its name.
            A role whose rows hold a list may have a column for each entry: ``{"choices": ["a",
            "b"]}``.
        labels: Label names, in the order of their ids. ``None``: found in the training data.
        metrics: Entries of the metric registry; the first one counts in ``eval_mean``. Empty: the
            defaults of the type.
        weight: Weight of the task's loss, not negative. Weights are scaled to average 1 over the
            tasks of a suite.
        head: Entry of the head registry: ``"native"`` or for example
            ``{"name": "pooled", "pooling": "mean"}``. ``None``: the default of the type.
        loss: Entry of the loss registry, such as ``{"name": "cross_entropy", "label_smoothing":
            0.1}``. ``None``: the default of the type.
        source: Name of the rows that the task is on. Tasks that name one source share its rows
            and one forward pass. ``None``: a source of its own, called like the task.
        max_length: Positions after which an input is cut off. ``None``: the longest that the
            tokenizer allows.
        batch_size: Rows of the task's source in a batch, on each device. ``None``: what the
            training arguments say.
        batch_tokens: Likewise in tokens, padding included: as many rows as fit, in place of
            ``batch_size``.
        learning_rate: Learning rate of the task's head. ``None``: what the training arguments say.
        weight_decay: Weight decay of the task's head; biases and norms have none. Likewise.
        schedule: When in the training the task is learned and its head moved, and how much it
            counts then: fields of ``TaskSchedule``, such as ``{"start": 0.2, "warmup": 0.1}``.
        detached: Whether the task's loss trains its head only, and no gradient of it goes on into
            the backbone: a probe of what the other tasks have taught it.

    Raises:
        KeyError: If the type is unknown.
        TypeError: If a value is of the wrong kind.
        ValueError: If a value is out of range, or a role is none of the type's.

    Example:
        >>> spec = TaskSpec("regression", columns={"label": "score"}, weight=0.5)
        >>> spec.column("label"), spec.column("text")
        ('score', 'text')
        >>> TaskSpec.from_dict(spec.to_dict()) == spec
        True
    """

    type: str
    _: KW_ONLY
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Columns] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None
    metrics: tuple[Entry, ...] = ()
    weight: float = 1.0
    head: Entry | None = None
    loss: Entry | None = None
    source: str | None = None
    max_length: int | None = None
    batch_size: int | None = None
    batch_tokens: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    schedule: Mapping[str, Any] | None = None
    detached: bool = False

    __hash__ = None  # type: ignore[assignment]  # columns are a mapping

    def __post_init__(self) -> None:
        check_known("task type", self.type, TASK_TYPES.names())
        object.__setattr__(self, "options", _checked_options(self.options))
        object.__setattr__(self, "columns", _checked_columns(self.columns, self.task_type))
        object.__setattr__(self, "labels", _checked_labels(self.labels, self.task_type))
        object.__setattr__(self, "metrics", _checked_metrics(self.metrics))
        _check_weight(self.weight)
        _check_source_name(self.source)
        for name in OF_SOURCE:
            _check_count(name, getattr(self, name))
        if self.batch_size is not None and self.batch_tokens is not None:
            raise ValueError(
                f"`batch_tokens` must be left out beside `batch_size`, but got {self.batch_tokens} "
                f"beside {self.batch_size}. Say how many rows a batch has, or how many tokens."
            )
        if self.learning_rate is not None:
            check_positive("learning_rate", self.learning_rate)
        if self.weight_decay is not None:
            check_not_negative("weight_decay", self.weight_decay)
        if self.schedule is not None:
            TaskSchedule.from_dict(self.schedule)
        if not isinstance(self.detached, bool):
            raise TypeError(f"`detached` must be true or false, but got {self.detached!r}.")

    @cached_property
    def task_schedule(self) -> TaskSchedule:
        """The schedule, as an object."""
        return TaskSchedule.from_dict(self.schedule or {})

    @cached_property
    def task_type(self) -> TaskType:
        """The type, as an object."""
        return TASK_TYPES.build({"name": self.type, **self.options})

    @property
    def metric_entries(self) -> tuple[Entry, ...]:
        """The metrics given, or the defaults of the type."""
        return self.metrics or self.task_type.metrics

    @property
    def head_entry(self) -> Entry:
        """The head given, or the default of the type."""
        return self.head if self.head is not None else self.task_type.head

    @property
    def loss_entry(self) -> Entry:
        """The loss given, or the default of the type."""
        return self.loss if self.loss is not None else self.task_type.loss

    @property
    def needs_labels(self) -> bool:
        """Whether label names are still to be found before a head can be built."""
        return self.task_type.label_kind.has_names and self.labels is None

    @property
    def num_outputs(self) -> int:
        """Width of the task's logits: ``C`` classes, or 1 for a number."""
        return self.task_type.label_kind.num_outputs(self.labels or ())

    def known_labels(self, task: str) -> tuple[str, ...]:
        """Label names.

        Args:
            task: Name of the task, for the message.

        Raises:
            ValueError: If they are not known yet.
        """
        if self.labels is None:
            raise ValueError(
                f"`labels` of task {task!r} must be known here, but they are None. Give them in "
                f"`TaskSpec(labels=...)`, or let the trainer or `find_labels` find them in data."
            )
        return self.labels

    def column(self, role: str) -> Columns:
        """Column, or columns, of the data set that hold a role; by default that of its name."""
        return self.columns.get(role, role)

    def input_columns(self) -> dict[str, Columns]:
        """Column or columns of each role of the input kind; of optional ones only those given."""
        kind, name_of = self.task_type.input_kind, self.task_type.role_name
        given = [role for role in kind.optional_roles if name_of(role) in self.columns]
        return {role: self.column(name_of(role)) for role in (*kind.roles, *given)}

    @property
    def label_column(self) -> str | None:
        """Column that holds the label; ``None`` if all rows have the default of their kind."""
        kind = self.task_type.label_kind
        has_default = kind.default is not None and not kind.has_names
        if has_default and kind.role not in self.columns:
            return None
        column = self.column(kind.role)
        assert isinstance(column, str)
        return column

    def replace(self, **changes: Any) -> "TaskSpec":
        """A copy with some fields changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON and YAML can hold; fields at their defaults are left out."""
        default = TaskSpec(self.type)
        given: dict[str, Any] = {"type": self.type}
        for item in fields(self)[1:]:
            value = getattr(self, item.name)
            if value != getattr(default, item.name):
                given[item.name] = _plain(value)
        return given

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "TaskSpec":
        """Inverse of ``to_dict``.

        Raises:
            TypeError: If ``type`` is missing or a field is unknown; the nearest one is offered.
        """
        if not isinstance(given, Mapping):
            raise TypeError(f"A task must be a mapping of its fields, but got {given!r}.")
        known = [item.name for item in fields(cls)]
        for name in given:
            if name not in known:
                raise TypeError(unknown_name("field of a task", str(name), known))
        if "type" not in given:
            raise TypeError(
                f"`type` of a task must be given, but got only {sorted(given)}. "
                f"Known types: {sorted(TASK_TYPES.names())}."
            )
        return cls(**given)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _checked_options(options: Any) -> dict[str, Any]:
    if not isinstance(options, Mapping) or "name" in options:
        raise TypeError(
            f"`options` must be a mapping of fields of the task type, but got {options!r}."
        )
    return dict(options)


def _checked_columns(columns: Any, task_type: TaskType) -> dict[str, Columns]:
    if not isinstance(columns, Mapping):
        raise TypeError(f"`columns` must be a mapping of roles to columns, but got {columns!r}.")
    known = (*task_type.roles, *task_type.optional_roles)
    lists = set(map(task_type.role_name, task_type.input_kind.list_roles))
    checked: dict[str, Columns] = {}
    for role, column in columns.items():
        if role not in known:
            raise ValueError(unknown_name("role in `columns`", str(role), known))
        several = role in lists and isinstance(column, list | tuple) and bool(column)
        if not all(isinstance(each, str) for each in (column if several else [column])):
            raise TypeError(f"`columns` must name a column for {role!r}, but got {column!r}.")
        checked[role] = tuple(column) if several else column
    return checked


def _checked_labels(labels: Any, task_type: TaskType) -> tuple[str, ...] | None:
    if labels is None:
        return None
    if not task_type.label_kind.has_names:
        raise ValueError(
            f"`labels` must be left out for a task whose label is a number, but got {labels!r}."
        )
    is_list = isinstance(labels, Sequence) and not isinstance(labels, str)
    if not is_list or not all(isinstance(label, str) for label in labels):
        raise TypeError(
            f"`labels` must be a list of names, but got {labels!r}. Put numbers in quotes."
        )
    if len(set(labels)) != len(labels) or not labels:
        raise ValueError(f"`labels` must be distinct and at least one, but got {list(labels)}.")
    return tuple(labels)


def _checked_metrics(metrics: Any) -> tuple[Entry, ...]:
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        raise TypeError(f"`metrics` must be a list of metrics, but got {metrics!r}.")
    for entry in metrics:
        if not isinstance(entry, str) and not (isinstance(entry, Mapping) and "name" in entry):
            raise TypeError(
                f"`metrics` must hold names or mappings with a `name`, but got {entry!r}."
            )
    return tuple(metrics)


def _check_source_name(source: Any) -> None:
    if source is not None and not (isinstance(source, str) and source):
        raise TypeError(f"`source` must be a name, but got {source!r}.")


def _check_weight(weight: Any) -> None:
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise TypeError(f"`weight` must be a number, but got {weight!r}.")
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(f"`weight` must be finite and not negative, but got {weight!r}.")


def _check_count(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"`{name}` must be a whole number, but got {value!r}.")
    if value < 1:
        raise ValueError(f"`{name}` must be at least 1, but got {value}.")
