# SPDX-License-Identifier: Apache-2.0
"""What a run will do, worked out before any weight is loaded."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc

from hf_mtl._registry import entry_name
from hf_mtl.data import SourceCollection, SourceSize, row_lengths, tokens_of_batch
from hf_mtl.models import MultiTaskModel
from hf_mtl.models.parameters import num_parameters
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.checks import (
    check_gradient_method,
    check_long_enough,
    check_weighting,
)
from hf_mtl.training.detached import check_detached
from hf_mtl.training.gradient_plan import GradientPlan, make_gradient_plan
from hf_mtl.training.loss_weights import num_passes_for_losses, weighting_of
from hf_mtl.training.memory import Memory, estimated_memory, strategy_name
from hf_mtl.training.mixture import step_plan
from hf_mtl.training.strategies import strategy_class
from hf_mtl.weighting import WEIGHTINGS

__all__ = ["Plan", "SourcePlan", "TaskPlan", "make_plan"]


@dataclass(frozen=True)
class TaskPlan:
    """What a run does for one task.

    Attributes:
        name: Its name.
        type: Its type.
        source: The rows it is on.
        num_labels: Its label names; ``None`` for a number.
        weight: Weight of its loss, as the suite scales it.
        head_parameters: Parameters of its head.
        detached: Whether it trains its head only.
    """

    name: str
    type: str
    source: str
    num_labels: int | None
    weight: float
    head_parameters: int
    detached: bool


@dataclass(frozen=True)
class SourcePlan:
    """What a run does with one source.

    Attributes:
        name: Its name.
        train_rows: Rows to train on; ``None`` for a stream that does not say.
        test_rows: Rows to evaluate on; likewise.
        batch_size: Rows of one batch on one device, at most.
        batch_tokens: Tokens of one; ``None`` where rows are counted.
        batches: Draws that one pass over the source takes; ``None`` where rows are not counted.
        longest: Tokens of its longest row; ``None`` where rows are encoded when they are read.
    """

    name: str
    train_rows: int | None
    test_rows: int | None
    batch_size: int
    batch_tokens: int | None
    batches: int | None
    longest: int | None


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        tasks: The tasks.
        sources: The sources.
        tasks_per_step: Draws that make one step, or ``"all"``.
        sampler: Name of the sampler; ``None`` where nothing is drawn.
        batches: ``"separate"`` or ``"merged"``.
        accumulation: Micro-batches of one step.
        steps_per_epoch: Optimizer steps of one epoch.
        epochs: Epochs of the run.
        steps: Optimizer steps of the run.
        forwards_per_step: Forward passes of one step on one device.
        weighting: Name of the loss weighting.
        forward_only_per_step: Forward passes more, without gradients, from which the weighting
            gets the losses of a step.
        gradient_method: What the gradient method costs; ``None`` if there is none.
        ranks: Processes that share each step.
        strategy: How the model is spread over them.
        rows_per_step: Rows of a step over all ranks and micro-batches, on average.
        parameters: Parameters of the model.
        trainable_parameters: Those that are trained.
        memory: Estimate of the memory of one device.
    """

    tasks: tuple[TaskPlan, ...]
    sources: tuple[SourcePlan, ...]
    tasks_per_step: int | str
    sampler: str | None
    batches: str
    accumulation: int
    steps_per_epoch: int
    epochs: float
    steps: int
    forwards_per_step: int
    weighting: str
    forward_only_per_step: int
    gradient_method: GradientPlan | None
    ranks: int
    strategy: str
    rows_per_step: float
    parameters: int
    trainable_parameters: int
    memory: Memory

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        memory = {**asdict(self.memory), "total": self.memory.total}
        return {**asdict(self), "memory": memory}


def make_plan(
    model: MultiTaskModel,
    args: MultiTaskTrainingArguments,
    train: SourceCollection,
    test: SourceCollection | None = None,
) -> Plan:
    """Plan of a run.

    Args:
        model: The model; one on the meta device will do, and takes no memory.
        args: The training arguments.
        train: Rows to train on.
        test: Rows to evaluate on.

    Raises:
        ValueError: If the weighting would do nothing: it compares tasks and every step has one, or
            the run ends before it has something to go by. Likewise if the gradient method has
            nothing to compare, or its engine does not run here.
    """
    mixed = step_plan(train, args, args.train_batch_size)
    steps_per_epoch = mixed.num_steps
    steps = args.max_steps
    if steps <= 0:
        steps = math.ceil(args.num_train_epochs * steps_per_epoch)
    check_weighting(args, model.suite)
    check_gradient_method(args, model.suite)
    check_detached(args, model, strategy_class(strategy_name(args)))
    check_long_enough(args, steps=steps, steps_per_epoch=steps_per_epoch)
    draws = len(mixed.sizes) if args.tasks_per_step == "all" else int(args.tasks_per_step)
    forwards = args.gradient_accumulation_steps * (1 if args.batches == "merged" else draws)
    by_task = make_gradient_plan(args, model, strategy_name(args), train)
    if by_task is not None:
        forwards = by_task.forwards
    return Plan(
        tasks=tuple(_task_plan(task, model) for task in model.suite),
        sources=tuple(_source_plan(size, args, train, test) for size in mixed.sizes.values()),
        tasks_per_step=args.tasks_per_step,
        sampler=_sampler_name(args),
        batches=args.batches,
        accumulation=args.gradient_accumulation_steps,
        steps_per_epoch=steps_per_epoch,
        epochs=steps / steps_per_epoch,
        steps=steps,
        forwards_per_step=forwards,
        weighting=WEIGHTINGS.name_of(type(weighting_of(args.weighting))),
        forward_only_per_step=forwards
        * num_passes_for_losses(args.weighting, args.weighting_losses, forwards),
        gradient_method=by_task,
        ranks=args.world_size,
        strategy=strategy_name(args),
        rows_per_step=mixed.rows_per_step,
        parameters=num_parameters(model),
        trainable_parameters=num_parameters(model, trainable=True),
        memory=estimated_memory(model, args, train, by_task),
    )


def _task_plan(task: str, model: MultiTaskModel) -> TaskPlan:
    spec = model.suite[task]
    return TaskPlan(
        name=task,
        type=spec.type,
        source=model.suite.source_of(task),
        num_labels=None if spec.labels is None else len(spec.labels),
        weight=model.suite.weights[task],
        head_parameters=num_parameters(model.heads[task]),
        detached=spec.detached,
    )


def _source_plan(
    size: SourceSize,
    args: MultiTaskTrainingArguments,
    train: SourceCollection,
    test: SourceCollection | None,
) -> SourcePlan:
    name, source = size.name, train.sources[size.name]
    lengths = row_lengths(source)
    return SourcePlan(
        name=name,
        train_rows=source.num_rows,
        test_rows=test.sources[name].num_rows if test is not None else 0,
        batch_size=-(-size.batch_size // (args.world_size * args.gradient_accumulation_steps)),
        batch_tokens=tokens_of_batch(train, name, args.batch_tokens),
        batches=None if source.num_rows is None else size.num_batches,
        longest=None if lengths is None else pc.max(lengths).as_py(),
    )


def _sampler_name(args: MultiTaskTrainingArguments) -> str | None:
    if args.tasks_per_step == "all":
        return None
    return entry_name(args.sampler or "proportional")
