# SPDX-License-Identifier: Apache-2.0
"""Which engine obtains the gradients of the tasks: the one named, or the cheapest that runs."""

from collections.abc import Collection

from torch import nn

from hf_mtl.models import MultiTaskModel
from hf_mtl.models.parameters import task_of
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.engines import ENGINES, Engine, Scope, ungroupable
from hf_mtl.training.gradient_balance import gradient_method_of
from hf_mtl.training.ranks import Ranks
from hf_mtl.training.strategies import Strategy

__all__ = ["chosen_engine", "engine_name", "shared_parameters"]


def shared_parameters(model: MultiTaskModel) -> dict[str, nn.Parameter]:
    """Trained parameters that all tasks share, by name."""
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and task_of(name) is None
    }


def chosen_engine(
    args: MultiTaskTrainingArguments, model: MultiTaskModel, strategy: Strategy, ranks: Ranks
) -> Engine:
    """The engine of a run.

    Args:
        args: The arguments.
        model: The model.
        strategy: How it is spread over ranks.
        ranks: The ranks.

    Raises:
        ValueError: If the engine that is named does not run here, or there is nothing to compare.
    """
    name = engine_name(args, model, strategy.engines)
    strategy.check_task_gradients(model)
    assert args.gradient_method is not None
    num_parts = gradient_method_of(args.gradient_method).num_batches
    return ENGINES[name](strategy, Scope(args.gradient_scope), ranks, model, num_parts)


def _is_reentrant(args: MultiTaskTrainingArguments) -> bool:
    """Whether activations are checkpointed by reentrant autograd."""
    checkpointing = args.activation_checkpointing_kwargs
    return (
        bool(args.activation_checkpointing)
        and isinstance(checkpointing, dict)
        and bool(checkpointing.get("use_reentrant"))
    )


def _check_runnable(
    name: str | None, args: MultiTaskTrainingArguments, runnable: Collection[str]
) -> None:
    """Raises ``ValueError`` if the engine that is named, or the usual one, does not run here."""
    usual = "streaming"
    engine = ENGINES[name or usual]
    if (name or usual) not in runnable:
        raise ValueError(
            f"`gradient_engine` must be one of {sorted(runnable)} under this strategy, but got "
            f"{name!r}: {name or usual!r} needs {engine.requirement}. Name one of them, train "
            f"under another strategy, or use a `weighting`, such as 'famo'."
        )
    if not engine.runs_reentrant and _is_reentrant(args):
        raise ValueError(
            f"`gradient_engine` must be another one with reentrant activation checkpointing, "
            f"through which {name!r} cannot go a second time. Choose 'grouped', or set "
            f"`activation_checkpointing_kwargs={{'use_reentrant': False}}`."
        )


def engine_name(
    args: MultiTaskTrainingArguments, model: MultiTaskModel, runnable: Collection[str]
) -> str:
    """Name of the engine of a run.

    Args:
        args: The arguments.
        model: The model; one on the meta device will do.
        runnable: Engines that run under its strategy.

    Raises:
        ValueError: If the engine that is named does not run here, or there is nothing to compare.
    """
    parameters = shared_parameters(model)
    if not parameters:
        raise ValueError(
            f"`gradient_method` must have shared parameters to train, but the backbone is frozen "
            f"and got {args.gradient_method!r}. Train a part of it, or use a `weighting`."
        )
    Scope(args.gradient_scope).check(parameters)
    name = args.gradient_engine
    _check_runnable(name, args, runnable)
    # Layers must be called as they are written, in the forward and, by checkpointing, once more.
    runs_as_written = not (args.torch_compile or _is_reentrant(args))
    is_together = args.batches == "merged" and "grouped" in runnable and runs_as_written
    if name is None and not is_together:
        return "streaming"
    if name is not None and not ENGINES[name].splits_layers:
        return name
    unfit = ungroupable(model.backbone, parameters)
    if not unfit:
        return name or "grouped"
    if name is None:
        return "streaming"
    reasons = "; ".join(f"{key}: {reason}" for key, reason in list(unfit.items())[:3])
    raise ValueError(
        f"`gradient_engine` must be 'streaming' or 'retained' for this backbone, but got "
        f"{name!r}, which cannot split the gradient of {len(unfit)} parameters ({reasons})."
    )
