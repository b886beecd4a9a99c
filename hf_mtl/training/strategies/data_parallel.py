# SPDX-License-Identifier: Apache-2.0
"""Data parallelism: the whole model on every rank, gradients averaged over the ranks.

DistributedDataParallel wants a gradient for each of its parameters in the last forward of each
step, and sends them all. Most heads have none in most steps, and what only some heads use of the
backbone, such as its pooler, has none in some. So it is told to leave these alone; those that are
used in a step are averaged here once their gradients are there, and the others have no gradient at
all. No unused parameter has to be searched for.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hf_mtl.models import MultiTaskModel
from hf_mtl.models.parameters import partly_used_parameters, task_of
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.engines import Block, Joined, ScatteredBlocks, with_same_rows
from hf_mtl.training.strategies.base import Strategy

__all__ = ["DataParallel", "HeadsOnly"]


@final
class HeadsOnly(nn.Module):
    """A model of which only heads are trained, in place of DistributedDataParallel.

    That refuses a model without a parameter to reduce.

    Args:
        module: The model.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the model gives."""
        return self.module(*args, **kwargs)


@final
class DataParallel(Strategy):
    """DistributedDataParallel for what all tasks use, messages of our own for the rest."""

    engines = ("grouped", "streaming", "retained", "representation")
    _defers = True

    def check(self, args: MultiTaskTrainingArguments) -> None:
        if args.ddp_static_graph and args.gradient_method is not None:
            raise ValueError(
                f"`ddp_static_graph` must be left out with the gradient method "
                f"{args.gradient_method!r}, which exchanges the gradients of each task itself."
            )
        # A static graph is learned from a first forward that exchanges gradients; then all do.
        # Gradients that are averages already stay so when they are averaged again.
        self._defers = not args.ddp_static_graph
        self._partly_used: dict[str, nn.Parameter] = {}

    def wrapped(self, model: nn.Module) -> nn.Module:
        if not isinstance(model, MultiTaskModel):
            return model  # wrapped by an earlier training
        self._share_heads(model)
        self._partly_used = partly_used_parameters(model)
        for parameter in self._partly_used.values():
            self.ranks.copy_from_first(parameter.data)
        tensors = (*model.named_parameters(), *model.named_buffers())
        left = {name for name, _ in tensors if task_of(name)} | self._partly_used.keys()
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, left)
        trained = {name for name, each in model.named_parameters() if each.requires_grad}
        if trained <= left:
            return HeadsOnly(self.accelerator.prepare_model(model, evaluation_mode=True))
        return model

    def during_forward(
        self, model: nn.Module, tasks: Iterable[str], *, is_last: bool
    ) -> AbstractContextManager[None]:
        return self.accelerator.no_sync(model) if self._defers and not is_last else nullcontext()

    def during_task_gradients(self, model: nn.Module) -> AbstractContextManager[None]:
        return self.accelerator.no_sync(model)  # type: ignore[no-any-return]

    def joined(self, blocks: Sequence[Block]) -> Joined:
        return ScatteredBlocks(with_same_rows(blocks), self.ranks.world_size)

    def average(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            dist.all_reduce(block.gradients)
            block.gradients.div_(self.ranks.world_size)

    def after_step(self, model: MultiTaskModel, tasks: Iterable[str]) -> None:
        by_dtype: dict[torch.dtype, list[Tensor]] = {}
        # Gradients by task are averages already, and stay so when they are averaged again.
        owned = (parameter for task in tasks for parameter in model.heads[task].parameters())
        for parameter in (*owned, *self._partly_used.values()):
            if parameter.grad is not None:
                by_dtype.setdefault(parameter.grad.dtype, []).append(parameter.grad)
        for gradients in by_dtype.values():
            _average(gradients, self.ranks.world_size)


def _average(gradients: list[Tensor], world_size: int) -> None:
    """Averages gradients of one data type over the ranks, in one message."""
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
