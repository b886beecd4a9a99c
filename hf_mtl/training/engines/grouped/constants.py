# SPDX-License-Identifier: Apache-2.0
"""Tensors that are computed from parameters alone, and used by every row.

Relative position biases are an example. Such a tensor gets a row axis (or one of groups), in which
it repeats itself. In the backward its gradients are summed by task, and each sum is taken through
the computation once more: there are as many small products as tasks, and none for each row.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hf_mtl.training.engines.grouped.grouping import Grouping
from hf_mtl.training.engines.grouped.rows import Segment
from hf_mtl.training.engines.grouped.swapping import Place, swapped

__all__ = ["by_group", "by_row", "places_read"]


def places_read(module: nn.Module, reads: tuple[str, ...]) -> dict[Place, nn.Parameter]:
    """The parameters of these names, below a module; those that it does not have are left out."""
    found = {}
    for key, parameter in module.named_parameters(remove_duplicate=False):
        if key in reads:
            owner, _, name = key.rpartition(".")
            found[module.get_submodule(owner), name] = parameter
    return found


def by_row(
    module: nn.Module,
    name: str,
    original: Callable[..., Any],
    grouping: Grouping,
    *,
    reads: tuple[str, ...],
) -> Callable[..., Any]:
    """Method that returns ``[1, ...]`` from these parameters, made to return ``[B, ...]``."""
    del name
    places = places_read(module, reads)

    def method(*args: Any, **kwargs: Any) -> Tensor:
        groups = grouping.groups
        # Only the shape of activations matters here: they are neither held nor computed with.
        args = tuple(_one_row(each) for each in args)
        constant = _Constant(places, lambda: original(*args, **kwargs)[0], grouping)
        return constant.repeated(list(groups.segments), groups.num_rows)

    return method


def by_group(
    module: nn.Module,
    name: str,
    original: Callable[..., Any],
    grouping: Grouping,
    *,
    reads: tuple[str, ...],
) -> Callable[..., Any]:
    """Method that returns one tensor for all rows, made to return one for each group."""
    del name
    places = places_read(module, reads)

    def method() -> Tensor:
        num_groups = len(grouping.groups.tasks)
        segments = [(group, group, group + 1) for group in range(num_groups)]
        return _Constant(places, original, grouping).repeated(segments, num_groups)

    return method


def _one_row(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.new_empty(()).expand(1, *value.shape[1:])
    return value


@dataclass(frozen=True)
class _Constant:
    """A computation from parameters.

    Attributes:
        places: The parameters, and where the computation reads them.
        compute: The computation.
        grouping: The grouped pass.
    """

    places: Mapping[Place, nn.Parameter]
    compute: Callable[[], Tensor]
    grouping: Grouping

    def repeated(self, segments: list[Segment], num_rows: int) -> Tensor:
        """The tensor, with an axis in front in which it repeats itself."""
        self.grouping.count_use(*self.places.values())
        output: Tensor = _Repeat.apply(self, segments, num_rows, *self.places.values())
        return output

    def value(self, tensors: Mapping[Place, Tensor]) -> Tensor:
        """The tensor, computed from these in the place of the parameters."""
        with self.grouping.paused(), swapped(tensors):
            return self.compute()

    def gradients(self, delta: Tensor) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Gradients of the parameters."""
        leaves = {place: each.detach().requires_grad_() for place, each in self.places.items()}
        with torch.enable_grad():
            value = self.value(leaves)
            found = torch.autograd.grad(
                value, list(leaves.values()), delta.to(value.dtype), allow_unused=True
            )
        for parameter, gradient in zip(self.places.values(), found, strict=True):
            if gradient is not None:
                yield parameter, gradient


class _Repeat(torch.autograd.Function):
    """A constant with an axis in which it repeats itself."""

    @staticmethod
    def forward(
        ctx: Any, constant: _Constant, segments: list[Segment], num_rows: int, *parameters: Tensor
    ) -> Tensor:
        ctx.constant, ctx.segments, ctx.parameters = constant, segments, parameters
        value = constant.value(constant.places)
        return value.expand(num_rows, *value.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, delta: Tensor) -> tuple[Any, ...]:
        grouping = ctx.constant.grouping
        is_split = [grouping.is_split_for(parameter) for parameter in ctx.parameters]
        whole = {} if all(is_split) else dict(ctx.constant.gradients(delta.sum(0)))
        for task, part in _sums(ctx, delta).items() if any(is_split) else ():
            for parameter, gradient in ctx.constant.gradients(part):
                if grouping.is_split_for(parameter):
                    grouping.sink.add(parameter, task, gradient)
        grouping.count_seen(*ctx.parameters)
        returned = (
            None if each or not parameter.requires_grad else whole.get(parameter)
            for parameter, each in zip(ctx.parameters, is_split, strict=True)
        )
        return None, None, None, *returned


def _sums(ctx: Any, delta: Tensor) -> dict[int, Tensor]:
    """Sum of the gradients of each task."""
    sums: dict[int, Tensor] = {}
    for task, start, stop in ctx.constant.grouping.groups.slices(ctx.segments):
        part = delta[start:stop].sum(0)
        sums[task] = sums[task] + part if task in sums else part
    return sums
