# SPDX-License-Identifier: Apache-2.0
"""Another method's weights, smoothed over steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from hf_mtl._numbers import check_interval
from hf_mtl._typing import Entry
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext, GramianMethod, State

__all__ = ["CRMOGM"]

_PREFIX = "method."


@GRADIENT_METHODS.register("cr_mogm")
@final
@dataclass(frozen=True)
class CRMOGM(GramianMethod):
    """Smooths the weights of another method by a moving average.

    Weights from the gradients of single batches are noisy, and correlated with the noise of the
    gradients that they weight, which keeps such methods from converging. Choose it around a method
    whose weights jump from step to step in the log. A step of one task has a weight of 1, and is
    not averaged.

    Args:
        method: The other method: its name, or a mapping with its ``name`` and fields.
        momentum: Share of the past in the average, in [0, 1).

    Raises:
        TypeError: If ``method`` needs more than inner products of gradients.
        ValueError: If ``momentum`` is not in [0, 1).

    Example:
        >>> ones, method, tasks = torch.ones(2).double(), CRMOGM(momentum=0.75), torch.arange(2)
        >>> context, state = GradientContext(0, ones, ones), method.init_state(2)
        >>> for lengths in ([1.0, 1.0], [1.0, 3.0]):  # MGDA: [1, 1], then [1.5, 0.5]
        ...     gramian = torch.tensor(lengths).double().diag()
        ...     weights, state = method.weights(gramian, tasks, state, context)
        >>> [round(w, 6) for w in weights.tolist()]
        [1.125, 0.875]

    Source:
        Zhou et al. 2022, "On the Convergence of Stochastic Multi-Objective Gradient Manipulation
        and Beyond", Advances in Neural Information Processing Systems 35, algorithm 1 with a
        constant momentum.
        The average begins with the first weights.
    """

    method: Entry = "mgda"
    momentum: float = 0.9

    def __post_init__(self) -> None:
        check_interval("momentum", self.momentum, "[0, 1)")
        if not isinstance(GRADIENT_METHODS.build(self.method), GramianMethod):
            raise TypeError(
                f"`method` must need only inner products of gradients, but got {self.method!r}. "
                "Its gradients can not be smoothed by their weights."
            )

    @cached_property
    def _inner(self) -> GramianMethod:
        method = GRADIENT_METHODS.build(self.method)
        assert isinstance(method, GramianMethod)  # checked
        return method

    @property
    def cancels_scale(self) -> bool:  # type: ignore[override]  # a matter of the other method
        """Whether the other method does."""
        return self._inner.cancels_scale

    @property
    def uses_preferences(self) -> bool:  # type: ignore[override]  # a matter of the other method
        """Whether the other method does."""
        return self._inner.uses_preferences

    @property
    def primaries(self) -> Sequence[int]:  # type: ignore[override]  # likewise
        """Those of the other method."""
        return self._inner.primaries

    @property
    def breaks(self) -> Mapping[str, str]:  # type: ignore[override]  # likewise
        """What the other method breaks."""
        return self._inner.breaks

    def init_state(self, num_tasks: int) -> State:
        inner = self._inner.init_state(num_tasks)
        zeros = torch.zeros(num_tasks, dtype=torch.float64)
        kept = {_PREFIX + name: value for name, value in inner.items()}
        return {"average": zeros, "num_steps": zeros.clone(), **kept}

    def weights(
        self, gramian: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        inner: State = {
            name.removeprefix(_PREFIX): value
            for name, value in state.items()
            if name.startswith(_PREFIX)
        }
        new, inner = self._inner.weights(gramian, tasks, inner, context)
        average, num_steps = state["average"], state["num_steps"]
        if len(tasks) > 1:
            before = torch.where(num_steps[tasks] > 0, average[tasks], new)
            new = self.momentum * before + (1 - self.momentum) * new
            average = average.scatter(0, tasks, new)
            num_steps = num_steps.index_add(0, tasks, torch.ones_like(new))
        kept = {_PREFIX + name: value for name, value in inner.items()}
        return new, {"average": average, "num_steps": num_steps, **kept}
