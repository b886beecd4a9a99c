# SPDX-License-Identifier: Apache-2.0
"""Directions that a gradient method makes of whole gradients, parameter by parameter."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hf_mtl.gradients import (
    ElementwiseMethod,
    GradientContext,
    GradientMethod,
    State,
    TrackingMethod,
)
from hf_mtl.training.engines import Block
from hf_mtl.training.engines.block import gramian_of
from hf_mtl.training.gradient_memory import GradientMemory

__all__ = ["WholeGradients"]


@dataclass(frozen=True)
class WholeGradients:
    """The gradients of the tasks of a step, without preferences that a method sees to itself.

    Args:
        blocks: The gradients by parameter, the same on every rank; they are changed.
        parameters: Shared parameters that are trained, by name.
        tasks: Positions of the tasks, ``[S]``.
        context: What else the method is told.
    """

    blocks: Sequence[Block]
    parameters: Mapping[str, nn.Parameter]
    tasks: Tensor
    context: GradientContext

    def gramian(self) -> Tensor:
        """Inner products of the gradients, ``[S, S]``."""
        return gramian_of((block.gradients for block in self.blocks), len(self.tasks))

    def set_direction(
        self, method: GradientMethod, memory: GradientMemory, state: State, gramian: Tensor
    ) -> tuple[Tensor, State]:
        """Gives the parameters the gradients that a method makes of those of the tasks.

        Numbers that are not finite, of gradients that overflowed, give the mean, and are forgotten.

        Args:
            method: The method.
            memory: What it remembers of elements; it is changed.
            state: What it remembers of tasks.
            gramian: Inner products of the gradients.

        Returns:
            Weights, ``[S]``, which are the preferences where it has none; and the state after the
            step.
        """
        if not bool(gramian.isfinite().all()):
            self._set_mean()
        elif isinstance(method, TrackingMethod):
            norms = gramian.diagonal().clamp(min=0).sqrt()
            return self._set_tracked(method, memory, norms, state)
        else:
            assert isinstance(method, ElementwiseMethod)
            self._set_elementwise(method)
        return self.context.preferences, state

    def _set_mean(self) -> None:
        weights = self.context.preferences / len(self.tasks)
        for block in self.blocks:
            block.set_gradient(weights.to(block.gradients) @ block.gradients)

    def _set_elementwise(self, method: ElementwiseMethod) -> None:
        index_by_parameter = {each: i for i, each in enumerate(self.parameters.values())}
        for block in self.blocks:
            gradients = _precise(block.gradients)
            index = index_by_parameter[block.parameter]
            # Drawn on the host for the whole parameter, so that every device has the same.
            generator = self.context.generator(index + 1)
            uniform = torch.rand(gradients.shape[1], generator=generator).to(gradients.device)
            direction = method.direction(gradients, self.context, uniform)
            block.set_gradient(direction.to(block.gradients))

    def _set_tracked(
        self, method: TrackingMethod, memory: GradientMemory, norms: Tensor, state: State
    ) -> tuple[Tensor, State]:
        names = {parameter: name for name, parameter in self.parameters.items()}
        blocks = [*self.blocks, *self._blocks_at_rest(memory)]
        gramian = torch.zeros(len(self.tasks), len(self.tasks), dtype=torch.float64)
        for block in blocks:
            gradients, name = _precise(block.gradients), names[block.parameter]
            before = memory.of(name, self.tasks, gradients)
            tracked = method.track(gradients, before, self.context, norms)
            memory.keep(name, self.tasks, tracked.memory)
            gramian += gramian_of([tracked.compared], len(self.tasks))
            block.gradients.copy_(tracked.combined)
        weights, state = method.weights(gramian, self.tasks, state, self.context)
        for block in blocks:
            block.set_gradient(weights.to(block.gradients) @ block.gradients / len(self.tasks))
        return weights, state

    def _blocks_at_rest(self, memory: GradientMemory) -> Iterable[Block]:
        """Gradients of 0: of parameters that no task of the step has moved, but one before it."""
        moved = {block.parameter for block in self.blocks}
        # In the order of the model, which a checkpoint does not change.
        for name, parameter in self.parameters.items():
            if name in memory.parameters and parameter not in moved:
                zeros = parameter.new_zeros(len(self.tasks), parameter.numel())
                yield Block(parameter, zeros)


def _precise(gradients: Tensor) -> Tensor:
    return gradients.to(torch.promote_types(gradients.dtype, torch.float32))
