# SPDX-License-Identifier: Apache-2.0
"""What a gradient method costs in each step, worked out before any weight is loaded."""

import math
from dataclasses import dataclass

from hf_mtl._registry import entry_name
from hf_mtl.data import SourceCollection
from hf_mtl.models import MultiTaskModel
from hf_mtl.tasks import TaskSuite
from hf_mtl.training.activations import most_bytes, output_bytes
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.engine_choice import engine_name, shared_parameters
from hf_mtl.training.engines import ENGINES, Scope
from hf_mtl.training.gradient_balance import gradient_method_of
from hf_mtl.training.gradient_memory import memory_bytes
from hf_mtl.training.strategies import check_whole_gradients, strategy_class

__all__ = ["GradientPlan", "make_gradient_plan"]


@dataclass(frozen=True)
class GradientPlan:
    """What a gradient method costs on one device in a step that compares gradients.

    Attributes:
        method: Its name.
        engine: How the gradients of the tasks are obtained.
        update_every: Steps from one comparison to the next; those between cost what a plain step
            costs.
        forwards: Forward passes, with as many tasks as a step can have.
        backwards: Backward passes likewise.
        scope: The parameters whose gradients are compared, in words; ``None``: all that are shared.
        extra_bytes: Memory of the gradients that are kept by task, and of what the method
            remembers by task; at most, where an embedding keeps only the rows that occur. Where
            representations are compared, of the outputs of the backbone for each task, their
            gradients, and what is compared. ``None``: not known.
    """

    method: str
    engine: str
    update_every: int
    forwards: int
    backwards: int
    scope: str | None
    extra_bytes: int | None


def make_gradient_plan(
    args: MultiTaskTrainingArguments,
    model: MultiTaskModel,
    strategy: str,
    train: SourceCollection | None = None,
) -> GradientPlan | None:
    """Cost of the gradient method of a run; ``None`` if it has none.

    Args:
        args: The arguments.
        model: The model; one on the meta device will do.
        strategy: Name of the strategy.
        train: Rows to train on, by which outputs of the backbone are counted; ``None``: they are
            not known.

    Raises:
        ValueError: If the engine that is named does not run, or there is nothing to compare.
    """
    if args.gradient_method is None:
        return None
    kind = strategy_class(strategy)
    check_whole_gradients(args, kind)
    name = engine_name(args, model, kind.engines)
    engine = ENGINES[name]
    tasks = _tasks_of_draws(args, model.suite)
    forwards, backwards = engine.passes(tasks, is_merged=args.batches == "merged")
    return GradientPlan(
        method=entry_name(args.gradient_method),
        engine=name,
        update_every=args.gradient_update_every,
        forwards=forwards * args.gradient_accumulation_steps,
        backwards=backwards * args.gradient_accumulation_steps,
        scope=Scope(args.gradient_scope).described(shared_parameters(model)),
        extra_bytes=(
            _bytes_of_outputs(args, model, sum(tasks), train)
            if engine.keeps_outputs
            else _bytes_of_gradients(args, model, strategy, sum(tasks) * engine.keeps_gradients)
        ),
    )


def _bytes_of_gradients(
    args: MultiTaskTrainingArguments, model: MultiTaskModel, strategy: str, num_kept: int
) -> int:
    """Bytes of as many gradients of the shared parameters, and of what the method remembers."""
    parameters = shared_parameters(model).values()
    size = sum(parameter.nbytes for parameter in parameters)
    if strategy == "FSDP2":
        size = math.ceil(size / args.world_size)
    assert args.gradient_method is not None
    method = gradient_method_of(args.gradient_method)
    return size * num_kept * method.num_batches + memory_bytes(method, parameters, len(model.suite))


def _bytes_of_outputs(
    args: MultiTaskTrainingArguments,
    model: MultiTaskModel,
    num_tasks: int,
    train: SourceCollection | None,
) -> int | None:
    """Bytes of the outputs of the backbone for each task, their gradients, and those compared."""
    size = None if train is None else most_bytes(output_bytes, model, args, train)
    return None if size is None else 3 * size * num_tasks


def _tasks_of_draws(args: MultiTaskTrainingArguments, suite: TaskSuite) -> list[int]:
    """Tasks that each draw of a step has, in the step that has most."""
    counts = [sum(suite.weights[task] > 0 for task in tasks) for tasks in suite.sources.values()]
    draws = len(counts) if args.tasks_per_step == "all" else int(args.tasks_per_step)
    return sorted(counts, reverse=True)[:draws]
