# SPDX-License-Identifier: Apache-2.0
"""How a step runs on the ranks of a run; here, on one."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from hf_mtl.models import MultiTaskModel
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.checkpoints.run_state import REPLICATED
from hf_mtl.training.engines import Block, Joined, WholeBlocks
from hf_mtl.training.gradient_balance import gradient_method_of
from hf_mtl.training.ranks import Ranks

__all__ = ["Strategy", "check_whole_gradients"]


class Strategy:
    """One process on one device, where nothing has to be exchanged.

    A strategy sees to it that a head without a label in a step has no gradient and is not moved,
    by momentum or weight decay either.

    Args:
        accelerator: The trainer's.
        args: The training arguments.
        ranks: The ranks of the run.

    Raises:
        ValueError: If the strategy cannot do what the arguments ask for.
    """

    layout = REPLICATED
    """How checkpoints are laid out: whole, or as that kind of sharding saves them."""
    needs_same_ranks = False
    """Whether a checkpoint can be loaded only by as many ranks as saved it."""

    engines: tuple[str, ...] = (
        "grouped",
        "grouped_twice",
        "streaming",
        "retained",
        "representation",
    )
    """Engines for gradients by task that run under it."""
    steps_without_backbone = True
    """Whether a step may give the backbone no gradient at all."""
    has_whole_gradients = True
    """Whether every rank can have the whole gradients of the shared parameters."""
    compiles_backbone = True
    """Whether ``torch_compile`` compiles the backbone alone; else accelerate compiles the model."""

    def __init__(self, accelerator: Any, args: MultiTaskTrainingArguments, ranks: Ranks) -> None:
        self.accelerator = accelerator
        self.ranks = ranks
        check_whole_gradients(args, type(self))
        self.check(args)

    def check(self, args: MultiTaskTrainingArguments) -> None:
        """Raises ``ValueError`` if something is asked for that the strategy cannot do."""

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model, made ready before the strategy takes hold of it; or wrapped already."""
        return model

    def _share_heads(self, model: MultiTaskModel) -> None:
        """Gives the heads of all ranks the values that they have on the first.

        New heads are random: a script that sets no seed draws others on each rank.
        """
        for parameter in model.heads.parameters():
            if not parameter.is_meta and not isinstance(parameter, DTensor):
                self.ranks.copy_from_first(parameter.data)

    def check_task_gradients(self, model: MultiTaskModel) -> None:
        """Raises ``ValueError`` for a model whose gradients by task no engine can obtain here.

        Args:
            model: The model.
        """

    def place(self, model: nn.Module, device: torch.device) -> None:
        """Moves a model that is evaluated before it is trained to where its inputs will be.

        Upstream leaves models that are to be sharded on the host until they are.
        """

    def share_out(self, optimizer: Optimizer, model: MultiTaskModel) -> None:
        """Changes a new optimizer as the strategy needs it."""

    def during_forward(
        self, model: nn.Module, tasks: Iterable[str], *, is_last: bool
    ) -> AbstractContextManager[None]:
        """Context of one forward and its backward.

        Args:
            model: The wrapped model.
            tasks: Tasks of the step.
            is_last: Whether it is the last forward of its step.
        """
        return nullcontext()

    def during_task_gradients(self, model: nn.Module) -> AbstractContextManager[None]:
        """Context of the forwards and backwards of a step whose gradients are kept by task.

        Args:
            model: The wrapped model.
        """
        return nullcontext()

    def joined(self, blocks: Sequence[Block]) -> Joined:
        """Gradients by task, averaged over the ranks; called by all of them.

        Args:
            blocks: Those of this rank, for the same parameters on every rank.
        """
        return WholeBlocks(blocks)

    def average(self, blocks: Sequence[Block]) -> None:
        """Replaces whole gradients by task by their averages over the ranks; called by all of them.

        Args:
            blocks: Those of this rank, for the same parameters on every rank.
        """

    def backward(self, total: Tensor) -> None:
        """A backward of a step with one forward, whose gradients are exchanged as always.

        Args:
            total: The total of the step.
        """
        total.backward()

    def take_back(self, model: nn.Module) -> None:
        """Undoes the forwards of a step that is not to be made.

        Args:
            model: The wrapped model.
        """
        model.zero_grad()

    def after_pass(self, model: nn.Module) -> None:
        """What remains to be done after forwards without a backward.

        Args:
            model: The wrapped model.
        """

    def after_step(self, model: MultiTaskModel, tasks: Iterable[str]) -> None:
        """What remains to be done when all gradients of a step are there.

        Args:
            model: The model.
            tasks: Tasks of the step, in the same order on every rank.
        """


def check_whole_gradients(args: MultiTaskTrainingArguments, strategy: type[Strategy]) -> None:
    """Raises ``ValueError`` if a gradient method needs whole gradients that a strategy has not.

    Args:
        args: The training arguments.
        strategy: The strategy.
    """
    if args.gradient_method is None or strategy.has_whole_gradients:
        return
    if gradient_method_of(args.gradient_method).needs_whole_gradients:
        raise ValueError(
            f"`gradient_method` must need only inner products of gradients where parameters are "
            f"split over the ranks (FSDP2, ZeRO), but got {args.gradient_method!r}, which needs "
            f"whole gradients. Choose one such as 'upgrad', or train under DDP."
        )
