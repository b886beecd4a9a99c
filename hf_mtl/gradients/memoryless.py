# SPDX-License-Identifier: Apache-2.0
"""Methods whose weights follow from the gradients of a step alone, and what they have in common."""

from abc import abstractmethod
from dataclasses import replace
from typing import final

from torch import Tensor
from transformers.utils import logging

from hf_mtl.gradients.base import GradientContext, GramianMethod, State
from hf_mtl.gradients.gramians import NoSolutionError, nonzero_rows, relative

__all__ = ["MemorylessMethod"]

logger = logging.get_logger(__name__)


class MemorylessMethod(GramianMethod):
    """A method whose weights are the solution of an equation, or of a program, of the Gramian.

    Subclasses solve it for two gradients or more that do not vanish. A gradient that vanishes has
    a weight of 1, times its preference, and is no business of the others; a gradient that is alone
    keeps its direction and length. Where there is no solution, or numbers are not finite, all have
    that weight: the direction is the mean of the gradients, and what overflowed is left to be found
    by the mixed precision.
    """

    @final
    def weights(
        self, gramian: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        weights = relative(context.preferences)
        rows = nonzero_rows(gramian)
        if len(rows) < 2:
            return weights, state
        reduced = gramian[rows][:, rows]
        context = replace(
            context, losses=context.losses[rows], preferences=context.preferences[rows]
        )
        try:
            # In units of the mean square, so that the tolerances of solvers suit all gradients.
            solution = self.solve(reduced / reduced.diagonal().mean(), context)
        except NoSolutionError as reason:
            logger.warning_once(
                f"{self}: {reason}. Such steps follow the mean of the gradients; this is said once."
            )
            return weights, state
        return weights.scatter(0, rows, solution), state

    @abstractmethod
    def solve(self, gramian: Tensor, context: GradientContext) -> Tensor:
        """Weights of two gradients or more, none of which vanishes: ``[S, S] -> [S]``.

        Args:
            gramian: Their inner products, finite, with a mean of 1 on the diagonal.
            context: What else is known of these tasks.

        Raises:
            NoSolutionError: If there are no such weights.
        """
