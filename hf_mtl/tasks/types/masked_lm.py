# SPDX-License-Identifier: Apache-2.0
"""The hidden tokens of a text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from hf_mtl.tasks.base import TASK_TYPES, TaskType

__all__ = ["MaskedLM"]


@TASK_TYPES.register("masked-lm")
@final
@dataclass(frozen=True)
class MaskedLM(TaskType):
    """The tokens of a text that were hidden: an auxiliary task that needs no labels.

    It keeps the backbone close to the language of texts that have none. What is hidden is drawn
    anew in each epoch, and is always the same in evaluation. It has a source of its own.

    Args:
        mask_probability: Probability that a token has to be recovered, in (0, 1].
        mask_share: Share of these tokens that become the mask token.
        random_share: Share of them that become a random token; the rest stay as they are.

    Raises:
        TypeError: If a value is no number.
        ValueError: If a value is out of range, or the shares are above 1 together.

    Source:
        Devlin et al. 2019, "BERT", section 3.1, https://arxiv.org/abs/1810.04805. Tokens are
        chosen one by one, not a fixed number a row, as in the collator of transformers.
    """

    inputs: ClassVar[str] = "masked_text"
    labels: ClassVar[str] = "masked_token"
    level: ClassVar[Literal["sequence", "token"]] = "token"
    auto_model: ClassVar[str] = "AutoModelForMaskedLM"
    loss: ClassVar[str] = "cross_entropy"
    metrics: ClassVar[tuple[str, ...]] = ("masked_accuracy", "perplexity")

    mask_probability: float = 0.15
    mask_share: float = 0.8
    random_share: float = 0.1

    def input_fields(self) -> Mapping[str, Any]:
        return {
            "mask_probability": self.mask_probability,
            "mask_share": self.mask_share,
            "random_share": self.random_share,
        }
