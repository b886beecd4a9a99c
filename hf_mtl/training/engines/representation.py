# SPDX-License-Identifier: Apache-2.0
"""The engine that compares gradients at the output of the backbone, and goes through it once.

What the backbone gives is handed to each head by itself. The backward through this joint gets the
gradients of all heads at the same time: there they are compared and combined, before it goes on
into the backbone. So there is one backward, of which the strategy notices nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from hf_mtl.models.heads import change_output
from hf_mtl.training.engines.base import Engine, Solve

__all__ = ["RepresentationEngine"]


@final
class RepresentationEngine(Engine):
    """Gradients with respect to the last hidden states of rows that all tasks have.

    An approximation: what is compared are not the gradients of the parameters. It costs one
    backward, and runs under every strategy.
    """

    keeps_gradients: ClassVar[bool] = False
    keeps_outputs: ClassVar[bool] = True
    needs_same_rows: ClassVar[bool] = True
    is_exchanged: ClassVar[bool] = True

    @classmethod
    def passes(cls, tasks_of_draws: Sequence[int], *, is_merged: bool) -> tuple[int, int]:
        return 1, 1

    @contextmanager
    def step(self, parameters: Mapping[str, nn.Parameter], tasks: Sequence[str]) -> Iterator[None]:
        self._tasks = list(tasks)
        self._losses: Mapping[str, Tensor] = {}
        hooks = [self._model.backbone.register_forward_hook(self._part_by_task)]
        for index, task in enumerate(tasks):
            hooks.append(change_output(self._model.heads[task], partial(self._own, index)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            # They hold the graph of the step.
            self._losses = {}
            self._outputs: Mapping[str, Tensor] = {}
            self._of_tasks: Sequence[Mapping[str, Tensor]] = []

    def add(self, losses: Mapping[str, Tensor]) -> None:
        assert not self._losses, "a step of several forwards is refused"
        self._losses = losses

    def finish(self, solve: Solve) -> None:
        self._solve = solve
        total = torch.stack(list(self._losses.values())).sum()
        self._losses = {}
        self._exchange.backward(total)

    def _part_by_task(self, module: nn.Module, args: Any, output: Any) -> None:
        names = [name for name in output if _has_gradient(output[name])]
        self._outputs = {name: output[name] for name in names}
        parted = _Joint.apply(self, *self._outputs.values())
        self._of_tasks = [
            dict(zip(names, parted[index :: len(self._tasks)], strict=True))
            for index in range(len(self._tasks))
        ]

    def _own(self, index: int, output: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Outputs of the backbone that are those of one task."""
        del output
        return self._of_tasks[index]

    def combined(self, gradients: Sequence[Tensor | None]) -> list[Tensor]:
        """What goes on into the backbone.

        Args:
            gradients: Of each output of the backbone for each task; ``None``: it is not used.
        """
        num = len(self._tasks)
        by_output = [gradients[i * num : (i + 1) * num] for i in range(len(self._outputs))]
        first, hidden = next(iter(self._outputs.items()))
        compared = torch.zeros(num, hidden.numel(), dtype=hidden.dtype, device=hidden.device)
        for name, by_task in zip(self._outputs, by_output, strict=True):
            for index, gradient in enumerate(by_task):
                if gradient is not None:
                    at_hidden = gradient if name == first else self._at_hidden(name, gradient)
                    compared[index] += at_hidden.flatten()
        # Losses have the number of ranks as a factor, which averaging takes away.
        coefficients = self._solve(self._over_ranks([compared / self._ranks.world_size]))
        return [
            _sum(output, by_task, coefficients)
            for output, by_task in zip(self._outputs.values(), by_output, strict=True)
        ]

    def _at_hidden(self, name: str, gradient: Tensor) -> Tensor:
        """Gradient with respect to the last hidden states, of which an output is made."""
        output, hidden = self._outputs[name], next(iter(self._outputs.values()))
        found: Tensor | None
        (found,) = torch.autograd.grad(
            output, hidden, gradient, retain_graph=True, allow_unused=True
        )
        if found is None:
            raise ValueError(
                f"Gradients at the output of the backbone must be those of its last hidden states, "
                f"but `{name}` of {type(self._model.backbone).__name__} is not made of them. "
                f"Choose `gradient_engine='streaming'`."
            )
        return found


class _Joint(torch.autograd.Function):
    """The outputs of a backbone, once for each task."""

    @staticmethod
    def forward(ctx: Any, engine: RepresentationEngine, *outputs: Tensor) -> tuple[Tensor, ...]:
        ctx.engine = engine
        ctx.set_materialize_grads(False)
        return tuple(output.clone() for output in outputs for _ in engine._tasks)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return (None, *ctx.engine.combined(gradients))


def _has_gradient(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _sum(output: Tensor, by_task: Sequence[Tensor | None], coefficients: Tensor) -> Tensor:
    total = torch.zeros_like(output)
    for gradient, coefficient in zip(by_task, coefficients.tolist(), strict=True):
        if gradient is not None:
            total += coefficient * gradient
    return total
