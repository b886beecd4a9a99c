# SPDX-License-Identifier: Apache-2.0
"""State of a weighting or gradient method by task: checkpointed, and kept when tasks come or go."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["check_same_on_ranks", "kept_state", "plain_state", "positions", "tensor_of"]

State = Mapping[str, Tensor]


def tensor_of(values: Any) -> Tensor:
    """A number, or numbers however nested, in float64."""
    is_number = isinstance(values, int | float)
    return torch.tensor(values if is_number else list(values), dtype=torch.float64)


def plain_state(state: State) -> dict[str, Any]:
    """Plain values for JSON."""
    return {name: value.tolist() for name, value in state.items()}


def positions(tasks: Iterable[str], suite: Sequence[str]) -> Tensor:
    """Positions of some tasks in a suite: ``[S]``."""
    position = {task: index for index, task in enumerate(suite)}
    return torch.tensor([position[task] for task in tasks], dtype=torch.long)


def kept_state(state: State, tasks: Tensor, other: State, tasks_there: Tensor) -> State:
    """A state with the values that some tasks have in another, and its values of no task.

    Args:
        state: The state: ``[T, T]``, ``[T]`` or ``[]``.
        tasks: Positions of the tasks in it, ``[S]``.
        other: The other state, of the same names; or an empty one, to keep nothing of.
        tasks_there: Positions of the tasks in that, ``[S]``.
    """
    if not other:
        return state
    kept = {}
    for name, value in state.items():
        if value.ndim == 2:
            kept[name] = value.clone()
            kept[name][tasks[:, None], tasks] = other[name][tasks_there[:, None], tasks_there]
        elif value.ndim == 1:
            kept[name] = value.scatter(0, tasks, other[name][tasks_there])
        else:
            kept[name] = other[name]
    return kept


def check_same_on_ranks(name: str, states: Sequence[Mapping[str, Any]]) -> None:
    """Raises ``RuntimeError`` if ranks have come apart.

    Args:
        name: Class of the weighting or method.
        states: Plain state of each rank.
    """
    for key, value in states[0].items():
        of_ranks = [state[key] for state in states]
        # Kinds of processors differ in the last digit of a logarithm.
        if any(not _is_close(value, other) for other in of_ranks):
            raise RuntimeError(
                f"What balancing remembers must be the same on every rank, but {key!r} of {name} "
                f"is {of_ranks}. Draw random numbers from `context.generator()` only."
            )


def _is_close(value: Any, other: Any) -> bool:
    return torch.allclose(tensor_of(value), tensor_of(other), rtol=1e-6, equal_nan=True)
