# SPDX-License-Identifier: Apache-2.0
"""What is refused where tasks are detached: their losses train their heads only."""

from hf_mtl.models import MultiTaskModel
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.engine_choice import shared_parameters
from hf_mtl.training.strategies import Strategy

__all__ = ["check_detached"]


def check_detached(
    args: MultiTaskTrainingArguments, model: MultiTaskModel, strategy: type[Strategy]
) -> None:
    """Raises ``ValueError`` if a run cannot do what its detached tasks ask for.

    Args:
        args: The arguments.
        model: The model; one on the meta device will do.
        strategy: How it is spread over ranks.
    """
    detached = [task for task, spec in model.suite.items() if spec.detached]
    if not detached:
        return
    if args.gradient_method is not None:
        raise ValueError(
            f"`detached` must be left out with a gradient method, but {detached} are detached and "
            f"have no gradient that {args.gradient_method!r} could compare. Choose a `weighting`."
        )
    if not strategy.steps_without_backbone:
        raise ValueError(
            f"`detached` must be left out where parameters or their optimizer are sharded, but "
            f"{detached} are detached: a step may then have no gradient for the backbone. Train "
            f"under DDP."
        )
    weights = model.suite.weights
    trains_backbone = any(weights[task] for task in model.suite if task not in detached)
    if not trains_backbone and shared_parameters(model):
        raise ValueError(
            f"`detached` must leave a task that trains the backbone, but {detached} are all that "
            f"are trained. Freeze the backbone, or leave `detached` out of one."
        )
