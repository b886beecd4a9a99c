# SPDX-License-Identifier: Apache-2.0
"""A model whose layers form their weight gradients by task, in one backward for all tasks.

The rows of a merged batch do not depend on each other. So the gradient that arrives at a layer
holds, in its rows, those of all tasks, and the product that forms the weight's gradient falls into
one product for each task's slice of the rows: the same multiply-adds. For the time of the context
the known layers of the model do that in a backward of their own; the gradients of their inputs flow
as always.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

from torch import Tensor, nn

from hf_mtl.training.engines.grouped.families import Patch, fault_of, patches_of, subtree_fault_of
from hf_mtl.training.engines.grouped.grouping import Grouping
from hf_mtl.training.engines.grouped.rows import RowGroups
from hf_mtl.training.engines.grouped.sink import GradientSink
from hf_mtl.training.engines.grouped.swapping import Place, own_parameters

__all__ = ["grouped", "ungroupable"]


@contextmanager
def grouped(
    model: nn.Module,
    parameters: Mapping[str, nn.Parameter],
    groups: RowGroups,
    gradients: GradientSink,
) -> Iterator[Grouping]:
    """Context in which a model's backward hands gradients by task to a sink.

    Forward and backward must run inside, with what checkpointing computes once more (its form
    without reentrant autograd). After each backward ``after_backward`` of the yielded state must be
    called. Dropout and everything else is that of the plain pass.

    Args:
        model: The shared part of the model; heads are outside.
        parameters: Those whose gradients are wanted by task, by name, none of which is
            ``ungroupable``. The others get their gradients as always.
        groups: Which rows of the batch are whose.
        gradients: Takes the gradients.

    Raises:
        RuntimeError: Inside, if a layer gets an input without rows, or if a parameter gets a
            gradient from elsewhere than its layer: it would be missing from the tasks' gradients.
    """
    grouping = Grouping(parameters, groups, gradients)
    wanted = set(parameters.values())
    with ExitStack() as stack:
        for name, module, fault in _with_faults(model):
            for patch in patches_of(module) if fault is None else ():
                if _is_wanted(patch, wanted):
                    stack.enter_context(_patched(patch, name, grouping))
        for name, parameter in parameters.items():
            handle = parameter.register_hook(_refusal(name, grouping))
            stack.callback(handle.remove)
        yield grouping


def ungroupable(model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> dict[str, str]:
    """Parameters whose gradients cannot be formed by task, each with the reason.

    The model is not run: its layers are looked at.

    Args:
        model: The shared part of the model.
        parameters: Those whose gradients are wanted by task, by name.
    """
    reasons = _reasons_by_place(model)
    known = set(model.parameters())
    found = {name: "not in the model" for name, each in parameters.items() if each not in known}
    names = {parameter: name for name, parameter in parameters.items()}
    for (module, key), reason in reasons.items():
        name = names.get(module.get_parameter(key))
        if name is not None:
            found[name] = f"{type(module).__name__}: {reason}"
    return found


def _reasons_by_place(model: nn.Module) -> dict[Place, str]:
    """Every parameter that is not covered, with the reason."""
    reasons: dict[Place, str] = {}
    covered: set[Place] = set()
    for _, module, fault in _with_faults(model):
        for key in own_parameters(module):
            reasons[module, key] = fault or "how it uses its parameters is not known"
        for patch in patches_of(module) if fault is None else ():
            covered |= patch.covers
    return {place: reason for place, reason in reasons.items() if place not in covered}


def _with_faults(model: nn.Module) -> Iterator[tuple[str, nn.Module, str | None]]:
    """Every module with its name, and what is known against it or against one that holds it."""
    inherited: dict[str, str] = {}
    for name, module in model.named_modules():
        parent = inherited.get(name.rpartition(".")[0]) if name else None
        fault = parent or subtree_fault_of(module)
        if fault is not None:
            inherited[name] = fault
        yield name, module, fault or fault_of(module, name)


@contextmanager
def _patched(patch: Patch, name: str, grouping: Grouping) -> Iterator[None]:
    """Context in which the method of that module is replaced."""
    original = getattr(patch.module, patch.method)
    replacement = patch.replace(patch.module, name, original, grouping)

    @wraps(original)
    def method(*args: Any, **kwargs: Any) -> Any:
        return (replacement if grouping.is_active else original)(*args, **kwargs)

    # On the instance, so that calls, and hooks around them, find it before the class's own.
    vars(patch.module)[patch.method] = method
    try:
        yield
    finally:
        del vars(patch.module)[patch.method]


def _is_wanted(patch: Patch, wanted: set[nn.Parameter]) -> bool:
    return any(module._parameters[key] in wanted for module, key in patch.concerns)


def _refusal(name: str, grouping: Grouping) -> Callable[[Tensor], None]:
    """Hook that refuses gradients that do not come by task."""

    def refuse(gradient: Tensor | None) -> None:
        if grouping.is_split and gradient is not None:
            raise RuntimeError(
                f"`{name}` got a gradient from outside of its layer, which would be missing from "
                "the gradients of the tasks. Choose `gradient_engine='streaming'`."
            )

    return refuse
