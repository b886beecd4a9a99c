# SPDX-License-Identifier: Apache-2.0
"""Task gradients that need no exchange: of one process, or of parameters that are sharded."""

from collections.abc import Sequence

from torch import Tensor

from hf_mtl.training.engines.block import Block

__all__ = ["WholeBlocks"]


class WholeBlocks:
    """Gradients that are averaged already, each rank having those of its own parameters.

    Args:
        blocks: The gradients.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = blocks
        self.matrices = [block.gradients for block in blocks]

    def set_gradients(self, coefficients: Tensor) -> None:
        """Makes combinations of the gradients those of the parameters.

        Args:
            coefficients: ``[S]``.
        """
        for block in self._blocks:
            block.set_gradient(coefficients.to(block.gradients) @ block.gradients)
