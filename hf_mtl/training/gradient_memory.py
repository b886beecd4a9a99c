# SPDX-License-Identifier: Apache-2.0
"""What a gradient method remembers for each task and element of the shared parameters."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from hf_mtl.gradients import GradientMethod
from hf_mtl.training.task_state import positions

__all__ = ["GradientMemory", "memory_bytes"]

_TASKS = "tasks"


class GradientMemory:
    """The memory of a method, by parameter: the same on every rank, because gradients are.

    A parameter has one once a task has moved it. Tensors are changed in place: a step whose
    gradients are there is made, because the scaler that could pass over it is refused.

    Args:
        names: What is remembered.
        tasks: Called for the names of all tasks when a run begins.
    """

    def __init__(self, names: Sequence[str], tasks: Callable[[], Sequence[str]]) -> None:
        self._names = names
        self._tasks = tasks
        self._kept: dict[str, dict[str, Tensor]] = {}
        self._is_loaded = False

    def begin(self) -> None:
        """Begins a run: with what was loaded, or with nothing."""
        if not self._is_loaded:
            self._kept = {}
        self._is_loaded = False

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the parameters that have one."""
        return frozenset(self._kept)

    def of(self, parameter: str, tasks: Tensor, gradients: Tensor) -> dict[str, Tensor]:
        """What is remembered of some tasks: ``[S, n]`` by name; 0 at first.

        Args:
            parameter: Name of the parameter.
            tasks: Positions of the tasks, ``[S]``.
            gradients: Their gradients, ``[S, n]``, for the data type and the device.
        """
        kept = self._kept.setdefault(parameter, {})
        for name in self._names:
            if name not in kept:
                kept[name] = gradients.new_zeros(len(self._tasks()), gradients.shape[1])
            kept[name] = kept[name].to(gradients)
        return {name: each[tasks.to(each.device)] for name, each in kept.items()}

    def keep(self, parameter: str, tasks: Tensor, memory: Mapping[str, Tensor]) -> None:
        """Remembers something of some tasks; the others keep what they have.

        Args:
            parameter: Name of the parameter.
            tasks: Positions of the tasks, ``[S]``.
            memory: What there is of them, ``[S, n]`` by name.
        """
        for name, each in memory.items():
            kept = self._kept[parameter][name]
            kept[tasks.to(kept.device)] = each

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Everything that is remembered, for a file; and what it has to say about itself."""
        found = {
            f"{name}/{parameter}": each
            for parameter, kept in self._kept.items()
            for name, each in kept.items()
        }
        return found, {_TASKS: json.dumps(list(self._tasks()))}

    def load(self, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
        """Takes back what was remembered; tasks that it does not know start fresh.

        Args:
            tensors: The tensors of a file.
            about: What it says about itself.
        """
        saved = json.loads(about[_TASKS])
        kept = [task for task in saved if task in self._tasks()]
        here, there = positions(kept, self._tasks()), positions(kept, saved)
        self._kept = {}
        for key, tensor in tensors.items():
            name, _, parameter = key.partition("/")
            own = tensor.new_zeros(len(self._tasks()), *tensor.shape[1:])
            own[here] = tensor[there]
            self._kept.setdefault(parameter, {})[name] = own
        self._is_loaded = True


def memory_bytes(method: GradientMethod, parameters: Iterable[nn.Parameter], num_tasks: int) -> int:
    """Bytes that the memory of a method takes, once all parameters have been moved.

    Args:
        method: The method.
        parameters: Shared parameters that are trained.
        num_tasks: Tasks of the suite.
    """
    one = sum(
        parameter.numel() * torch.promote_types(parameter.dtype, torch.float32).itemsize
        for parameter in parameters
    )
    return one * num_tasks * len(method.memory)
