# SPDX-License-Identifier: Apache-2.0
"""What a head can do, and the registry of heads.

The description of a head (a ``Head``, what the user chose) is kept apart from the network that it
builds (a ``HeadModule``, what is trained and saved).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from hf_mtl._registry import Registry
from hf_mtl.tasks import TaskSpec, TaskSuite

__all__ = ["HEADS", "Head", "HeadModule", "change_output", "check_heads"]


class HeadModule(nn.Module, ABC):
    """Network of one task on top of the backbone.

    Attributes:
        bypassed: Names of backbone parameters that this head's logits do not depend on, such as
            those of a pooler that it does not use.
    """

    bypassed: frozenset[str] = frozenset()

    @abstractmethod
    def forward(self, output: Any, inputs: Mapping[str, Any]) -> Tensor:
        """Logits of the rows.

        Args:
            output: What the backbone returned for these rows, a ``ModelOutput``.
            inputs: What the backbone was given for these rows.

        Returns:
            ``[B, C]``, or ``[B, L, C]`` for a task on positions.
        """


def change_output(
    head: nn.Module, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> RemovableHandle:
    """Gives a head other outputs of the backbone, until what is returned is removed.

    Args:
        head: A ``HeadModule``.
        change: Called with each output of the backbone for those that are others, by name.
    """

    def changed(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        output, *others = args
        return (type(output)(**{**output, **change(output)}), *others)

    return head.register_forward_pre_hook(changed)


class Head(ABC):
    """Description of a head: a frozen dataclass whose fields are its config entry.

    Attributes:
        is_native: Whether the head is the one that transformers' Auto class of the task type
            builds, so that ``to_single_task`` can hand it to that class.
    """

    is_native: ClassVar[bool] = False

    def check(self, task: str, spec: TaskSpec) -> None:
        """Raises ``ValueError`` if this head cannot serve that task."""
        del task, spec

    @abstractmethod
    def build(self, spec: TaskSpec, backbone: PreTrainedModel) -> HeadModule:
        """Initialised network on the backbone's device, in its dtype; its labels are known.

        Under the meta device (``from_pretrained``) it is neither materialised nor initialised.
        """


HEADS: Registry[Head] = Registry("head")


def check_heads(suite: TaskSuite) -> None:
    """Raises if a task of the suite asks for a head that is unknown or does not suit it.

    Raises:
        KeyError: If a head is unknown.
        TypeError: If a field of a head is unknown.
        ValueError: If a field has a wrong value, or the head does not suit the task's type.
    """
    for task, spec in suite.items():
        HEADS.build(spec.head_entry).check(task, spec)
