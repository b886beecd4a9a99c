# SPDX-License-Identifier: Apache-2.0
"""Gradients that are turned until they are as similar as they used to be."""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_mtl._numbers import check_positive
from hf_mtl.gradients.base import GRADIENT_METHODS, GradientContext, GramianMethod, State
from hf_mtl.gradients.gramians import nonzero_rows

__all__ = ["GradVac"]

# Targets above this one would ask for more of the other gradient than arithmetic can give.
_HIGHEST_TARGET = math.sqrt(1 - 1e-6)


@GRADIENT_METHODS.register("gradvac")
@final
@dataclass(frozen=True)
class GradVac(GramianMethod):
    """Turns each gradient towards another task's, if they are less similar than they used to be.

    Remembers the similarity (cosine) of each pair of tasks as a moving average, which begins with
    0, as in PCGrad. Choose it over PCGrad for tasks that are related, such as languages, whose
    gradients should agree, not merely not disagree.

    Args:
        beta: Weight of a step in the moving averages, in (0, 1].

    Raises:
        ValueError: If ``beta`` is not in (0, 1].

    Example:
        >>> gramian = torch.tensor([[1.0, -0.6], [-0.6, 1.0]]).double()
        >>> ones, method = torch.ones(2).double(), GradVac()
        >>> context = GradientContext(step=0, losses=ones, preferences=ones)
        >>> state = method.init_state(2)
        >>> weights, state = method.weights(gramian, torch.tensor([0, 1]), state, context)
        >>> [round(w, 6) for w in weights.tolist()]  # targets are 0: orthogonal to the other
        [1.6, 1.6]

    Source:
        Wang et al. 2021, "Gradient Vaccine: Investigating and Improving Multi-task Optimization in
        Massively Multilingual Models", algorithm 1 with the whole model as one group,
        https://arxiv.org/abs/2010.05874. It takes the sum, here divided by the number of tasks.
    """

    breaks: ClassVar[dict[str, str]] = {
        "order_of_tasks_is_irrelevant": "Random numbers belong to positions of tasks.",
    }

    beta: float = 1e-2

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        if self.beta > 1:
            raise ValueError(f"`beta` must be in (0, 1], but got {self.beta!r}.")

    def init_state(self, num_tasks: int) -> State:
        return {"target": torch.zeros(num_tasks, num_tasks, dtype=torch.float64)}

    def weights(
        self, gramian: Tensor, tasks: Tensor, state: State, context: GradientContext
    ) -> tuple[Tensor, State]:
        products, target = gramian.numpy(), state["target"].numpy().copy()
        weights, generator = np.ones(len(gramian)), context.generator()
        rows, positions = nonzero_rows(gramian).tolist(), tasks.tolist()
        weights[rows] = 0.0
        for row in rows:
            others = [other for other in rows if other != row]
            turned = _Sum(products, row)
            for i in torch.randperm(len(others), generator=generator).tolist():
                pair = (positions[row], positions[others[i]])
                similarity = turned.turn(others[i], target[pair])
                target[pair] += self.beta * (similarity - target[pair])
            weights += turned.weights
        return torch.from_numpy(weights), {"target": torch.from_numpy(target)}


class _Sum:
    """A gradient to which others are added, by its weights and its products with all of them."""

    def __init__(self, gramian: NDArray[np.float64], row: int) -> None:
        self.gramian = gramian
        self.weights = np.zeros(len(gramian))
        self.weights[row] = 1.0
        self.products = gramian[row].copy()

    def turn(self, other: int, target: float) -> float:
        """Adds of another gradient what brings the cosine with it to a target, if it is lower.

        Returns:
            The cosine before.
        """
        length = math.sqrt(max(float(self.weights @ self.products), 0.0))
        other_length = math.sqrt(self.gramian[other, other])
        if length == 0:
            return 0.0  # nothing is left to be turned
        cosine = float(self.products[other]) / (length * other_length)
        cosine, target = max(-1.0, min(1.0, cosine)), min(target, _HIGHEST_TARGET)
        if cosine < target:
            sine, target_sine = math.sqrt(1 - cosine**2), math.sqrt(1 - target**2)
            amount = length * (target * sine - cosine * target_sine) / (other_length * target_sine)
            self.weights[other] += amount
            self.products += amount * self.gramian[other]
        return cosine
