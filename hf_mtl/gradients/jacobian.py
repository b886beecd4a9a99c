# SPDX-License-Identifier: Apache-2.0
"""Gradient methods that need the gradients themselves, not only their inner products.

The trainer hands them the whole gradients parameter by parameter, averaged over the ranks, so they
run where every rank has whole parameters.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hf_mtl.gradients.base import GradientContext, GradientMethod, State

__all__ = ["ElementwiseMethod", "Tracked", "TrackingMethod"]


class ElementwiseMethod(GradientMethod):
    """A method whose direction is, in each element, a function of what the tasks have there.

    The direction of gradients that are orthogonal and equally long is their mean.
    """

    needs_whole_gradients: ClassVar[bool] = True

    @abstractmethod
    def direction(self, gradients: Tensor, context: GradientContext, uniform: Tensor) -> Tensor:
        """Direction of one parameter: ``[S, n], [n] -> [n]``.

        Args:
            gradients: Gradient of each task; finite. It is not changed.
            context: What else is known of the step.
            uniform: Random numbers in [0, 1), one for each element; others in each step, the same
                on every rank and in a run that is resumed.
        """


@dataclass(frozen=True)
class Tracked:
    """What a ``TrackingMethod`` makes of the gradients of one parameter.

    Args:
        compared: What is compared by its inner products, ``[S, n]``.
        combined: What the direction is a weighted mean of, ``[S, n]``.
        memory: What is remembered after the step, ``[S, n]`` by name.
    """

    compared: Tensor
    combined: Tensor
    memory: Mapping[str, Tensor]


class TrackingMethod(GradientMethod):
    """A method that remembers something for each task and each element of the parameters.

    A step first tracks the gradients of each parameter, then asks for weights by the inner products
    of what is compared. The direction of ``S`` tasks is the sum of ``weight x combined / S``. A
    step of one task is a plain one, which is not tracked, and so is one whose gradients overflowed.

    Attributes:
        memory: Names of what is remembered. It is 0 before a task's first step.
    """

    needs_whole_gradients: ClassVar[bool] = True

    @abstractmethod
    def track(
        self,
        gradients: Tensor,
        memory: Mapping[str, Tensor],
        context: GradientContext,
        norms: Tensor,
    ) -> Tracked:
        """What becomes of the gradients of one parameter.

        Args:
            gradients: Gradient of each task, ``[S, n]``, finite, of at least 32 bits.
            memory: What is remembered of these tasks, ``[S, n]`` by name; it is not changed.
            context: What else is known of the step.
            norms: Length of the whole gradient of each task, over all parameters, ``[S]``, float64,
                on the host; as ``context.losses`` is.
        """

    @abstractmethod
    def weights(
        self, gramian: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        """Weight of each task of a step, ``[S]``, float64 and finite; and the state after it.

        Args:
            gramian: Inner products of what is compared, ``[S, S]``, float64, on the host.
            tasks: Positions of the tasks that are present, ``[S]``, ascending.
            state: The state; it is not changed.
            context: What else is known.
        """
