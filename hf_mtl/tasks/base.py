# SPDX-License-Identifier: Apache-2.0
"""What a task type declares, and the registry of task types."""

from abc import ABC
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from hf_mtl._registry import Registry
from hf_mtl.tasks.inputs import INPUTS, InputKind
from hf_mtl.tasks.labels import LABELS, LabelKind

__all__ = ["TASK_TYPES", "TaskType"]


class TaskType(ABC):
    """Declaration of one type of task: which parts of the other families it is made of.

    A subclass holds values only; where tasks of one type differ, it is a frozen dataclass whose
    fields are the ``options`` of a task. The parts are named, not imported, so that heads, metrics
    and data preparation stay independent of each other.

    Attributes:
        inputs: What goes in: a name of ``INPUTS``. It preprocesses rows and collates them.
        labels: What is learned: a name of ``LABELS``. It encodes and collates the labels and
            turns logits into predictions and into readable answers.
        role_names: What users call a role of the input, where the type has a word of its own.
        level: ``"sequence"`` for one output a row, ``"token"`` for one a position.
        auto_model: The Auto class of transformers whose head is this task's native head.
        has_choice_axis: Whether that class reads the sequences of a row along an axis of their
            own, ``[B, N, L]``.
        head: Default entry of the head registry.
        loss: Default entry of the loss registry.
        metrics: Default metrics; the first one counts in ``eval_mean``.
    """

    inputs: ClassVar[str]
    labels: ClassVar[str]
    role_names: ClassVar[Mapping[str, str]] = MappingProxyType({})
    level: ClassVar[Literal["sequence", "token"]] = "sequence"
    auto_model: ClassVar[str]
    has_choice_axis: ClassVar[bool] = False
    head: ClassVar[str] = "native"
    loss: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]

    @property
    def input_kind(self) -> InputKind:
        """The kind of input, built."""
        return INPUTS.build(self.input_entry)

    @property
    def input_entry(self) -> dict[str, Any]:
        """The kind of input with its fields: tasks of one entry see a row in one form."""
        return {"name": self.inputs, **self.input_fields()}

    def input_fields(self) -> Mapping[str, Any]:
        """Fields of the kind of input; none unless a type has options for it."""
        return {}

    def label_fields(self) -> Mapping[str, Any]:
        """Fields of the kind of label; none unless a type has options for it."""
        return {}

    @property
    def label_kind(self) -> LabelKind:
        """The kind of label, built."""
        return LABELS.build({"name": self.labels, **self.label_fields()})

    @property
    def roles(self) -> tuple[str, ...]:
        """Columns that the task needs: those of its input and its label's."""
        return (*map(self.role_name, self.input_kind.roles), self.label_kind.role)

    @property
    def optional_roles(self) -> tuple[str, ...]:
        """Columns that the task uses when they are given."""
        return tuple(map(self.role_name, self.input_kind.optional_roles))

    def role_name(self, input_role: str) -> str:
        """What users call a role of the input."""
        return self.role_names.get(input_role, input_role)


TASK_TYPES: Registry[TaskType] = Registry("task type")
