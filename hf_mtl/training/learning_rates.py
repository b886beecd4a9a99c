# SPDX-License-Identifier: Apache-2.0
"""Learning rates by layer and head, and weight decay by head: groups of an optimizer."""

from collections.abc import Collection
from typing import Any

from torch import nn
from torch.optim import Optimizer

from hf_mtl.models import MultiTaskModel
from hf_mtl.models.parameters import layer_shares, task_of
from hf_mtl.tasks import TaskSuite
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.checkpoints.optimizer_state import parameter_names

__all__ = ["has_groups", "own_rates", "split_by_rate"]


def own_rates(args: MultiTaskTrainingArguments, suite: TaskSuite) -> dict[str, float]:
    """Learning rate of each head that has one of its own, before any warm-up or decay."""
    given = {
        task: args.head_learning_rate if spec.learning_rate is None else spec.learning_rate
        for task, spec in suite.items()
    }
    return {task: rate for task, rate in given.items() if rate is not None}


def has_groups(args: MultiTaskTrainingArguments, suite: TaskSuite) -> bool:
    """Whether some parameters are to be trained otherwise than the others."""
    has_decay = any(spec.weight_decay is not None for spec in suite.values())
    return args.layer_decay != 1 or has_decay or bool(own_rates(args, suite))


def split_by_rate(
    optimizer: Optimizer,
    wrapped: nn.Module,
    model: MultiTaskModel,
    args: MultiTaskTrainingArguments,
    decayed: Collection[str],
) -> None:
    """Splits the groups of a new optimizer by learning rate and weight decay.

    Args:
        optimizer: The optimizer; what else its groups say is kept.
        wrapped: The model that holds its parameters.
        model: The model, which may be another if they are sharded.
        args: The training arguments.
        decayed: Names of the parameters that have weight decay at all.

    Raises:
        ValueError: If the optimizer finds its learning rate by itself.
    """
    shares = layer_shares(model.backbone, args.layer_decay)
    rates = own_rates(args, model.suite)
    groups: list[dict[str, Any]] = []
    names_by_group = parameter_names(wrapped, optimizer)
    for group, names in zip(optimizer.param_groups, names_by_group, strict=True):
        if group.get("lr") is None:
            raise ValueError(
                f"`optim` must take a learning rate where heads or layers have their own, but got "
                f"{args.optim!r}. Choose another one, such as 'adamw_torch'."
            )
        by_setting: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in zip(names, group["params"], strict=True):
            rate, decay = group["lr"], group["weight_decay"]
            if task := task_of(name):
                rate = rates.get(task, rate)
                own = model.suite[task].weight_decay
                decay = own if own is not None and name in decayed else decay
            else:
                rate *= shares[name.removeprefix("backbone.")]
            by_setting.setdefault((rate, decay), []).append(parameter)
        groups += [
            {**group, "params": params, "lr": rate, "weight_decay": decay}
            for (rate, decay), params in by_setting.items()
        ]
    # The log tells rates by that of the first group, which must not be 0.
    optimizer.param_groups[:] = sorted(groups, key=lambda group: -group["lr"])
