# SPDX-License-Identifier: Apache-2.0
"""The multi-task trainer with steps that torchjd makes, to measure both on the same model and data.

Its losses, heads and batches are those of every other way; what differs is how the gradients of the
tasks are obtained and combined. Only merged batches: torchjd wants one forward for all tasks.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torchjd.aggregation import PCGrad, PCGradWeighting
from torchjd.autogram import Engine
from torchjd.autojac import jac_to_grad, mtl_backward

from hf_mtl import MultiTaskTrainer

__all__ = ["AutogramTrainer", "MTLBackwardTrainer"]


class TorchJDTrainer(MultiTaskTrainer):
    """A step of one merged forward, whose gradients torchjd sets."""

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Tensor:
        """One forward, and what torchjd makes of its losses."""
        step = num_items_in_batch
        (forward,) = step.forwards
        model.train()
        prepared = self._prepare_inputs(dict(forward))
        self._before_forward()
        features: list[Tensor] = []
        handle = self.model.backbone.register_forward_hook(
            lambda module, given, output: features.append(output.last_hidden_state)
        )
        try:
            losses = self._outputs(model, prepared, step).losses or {}
        finally:
            handle.remove()
        shares = {task: loss * step.scale.weights[task] for task, loss in losses.items()}
        self._set_gradients(shares, features[0])
        return torch.stack(list(shares.values())).sum().detach()

    def _before_forward(self) -> None:
        """Called before each forward."""

    @abstractmethod
    def _set_gradients(self, losses: Mapping[str, Tensor], features: Tensor) -> None:
        """Sets the gradients of all parameters.

        Args:
            losses: Share of each task in the total.
            features: What the heads got from the backbone.
        """


@final
class MTLBackwardTrainer(TorchJDTrainer):
    """``autojac.mtl_backward``: the Jacobian of the features, a backward for each task."""

    def _set_gradients(self, losses: Mapping[str, Tensor], features: Tensor) -> None:
        # One task at a time: its parallel form needs a batching rule that sdpa does not have. The
        # graph is kept, because heads share what is computed from the features for all of them.
        mtl_backward(
            list(losses.values()), features=features, parallel_chunk_size=1, retain_graph=True
        )
        shared = [each for each in self.model.backbone.parameters() if hasattr(each, "jac")]
        jac_to_grad(shared, PCGrad())


@final
class AutogramTrainer(TorchJDTrainer):
    """``autogram.Engine``: the Gramian layer by layer, then one more backward.

    Its second backward weighs the losses, so that heads are weighed too; the work is the same.
    """

    _autogram: Engine | None = None

    def _before_forward(self) -> None:
        # It hooks into the modules once; rows of a merged batch are not tasks, so no batch_dim.
        if self._autogram is None:
            self._autogram = Engine(self.model.backbone, batch_dim=None)

    def _set_gradients(self, losses: Mapping[str, Tensor], features: Tensor) -> None:
        del features
        assert self._autogram is not None
        stacked = torch.stack(list(losses.values()))
        weights = PCGradWeighting()(self._autogram.compute_gramian(stacked))
        stacked.backward(weights)
