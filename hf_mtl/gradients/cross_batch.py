# SPDX-License-Identifier: Apache-2.0
"""Methods whose weights move by the inner products of gradients of two independent batches.

The inner product of two gradients of the same batch holds the noise that they share, and so does
the square of one: on average it is too large. Between independent batches noise cancels out.
"""

from abc import abstractmethod
from typing import ClassVar, final

import torch
from torch import Tensor

from hf_mtl.gradients.base import GradientContext, SeveralBatchesMethod, State
from hf_mtl.gradients.gramians import nonzero_rows

__all__ = ["CrossBatchMethod", "projected_on_simplex", "shares_among", "with_shares"]


class CrossBatchMethod(SeveralBatchesMethod):
    """A method that needs the inner products of its first batch's gradients with its second's.

    Subclasses see two tasks or more whose gradients do not vanish. A gradient that vanishes has a
    weight of 1 and is no business of the others; one that is alone keeps its direction and length.
    Where numbers are not finite all weights are 1, and nothing is learned.
    """

    num_batches: ClassVar[int] = 2

    @final
    def weights(
        self, products: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        weights = torch.ones(len(tasks), dtype=torch.float64)
        rows = nonzero_rows(torch.einsum("aiaj->ij", products))
        if len(rows) < 2:
            return weights, state
        products = products[:, rows][..., rows]
        # In units of the mean length, so that learning rates suit all gradients.
        unit = torch.einsum("atat->at", products).sqrt().mean()
        new, state = self.learned(products[0, :, 1] / unit**2, tasks[rows], state)
        return weights.scatter(0, rows, new), state

    @abstractmethod
    def learned(self, cross: Tensor, tasks: Tensor, state: State) -> tuple[Tensor, State]:
        """Weights of two tasks or more, ``[S]``, and the state after the step.

        Args:
            cross: Inner product of each task's gradient in the first batch with each one's in the
                second, ``[S, S]``, not symmetric, in units of their squared mean length.
            tasks: Their positions in the suite, ``[S]``.
            state: The state; it is not changed.
        """


def projected_on_simplex(point: Tensor) -> Tensor:
    """The nearest point whose elements are not negative and add up to 1: ``[S] -> [S]``.

    Example:
        >>> projected_on_simplex(torch.tensor([0.5, 1.0, -2.0])).tolist()
        [0.25, 0.75, 0.0]
    """
    ordered = point.sort(descending=True).values
    counts = torch.arange(1, len(point) + 1, dtype=point.dtype)
    # Held et al. 1974: the shift that fits the number of elements that stay is the largest one.
    shift = ((ordered.cumsum(0) - 1) / counts).max()
    return (point - shift).clamp(min=0)


def shares_among(mass: Tensor, tasks: Tensor) -> Tensor:
    """Share of each of some tasks in what they have together: ``[T], [S] -> [S]``; equal if none.

    Args:
        mass: What each task of the suite has, not negative.
        tasks: Positions of the tasks.
    """
    own = mass[tasks]
    return own / own.sum() if bool(own.sum() > 0) else torch.full_like(own, 1 / len(own))


def with_shares(mass: Tensor, tasks: Tensor, shares: Tensor) -> Tensor:
    """The same with other shares of these tasks, which have as much together as before: ``[T]``."""
    return mass.scatter(0, tasks, mass[tasks].sum() * shares)
