# SPDX-License-Identifier: Apache-2.0
"""A tiny model with a task of each kind on text."""

from typing import TYPE_CHECKING

import pytest
import torch
from transformers import BertModel

from hf_mtl.models import MultiTaskModel
from hf_mtl.tasks import TaskSpec, TaskSuite

if TYPE_CHECKING:
    from transformers import BertConfig


@pytest.fixture
def suite() -> TaskSuite:
    return TaskSuite(
        {
            "topic": TaskSpec("text-classification", labels=("film", "book", "other")),
            "valence": TaskSpec("regression"),
            "parts": TaskSpec("token-classification", labels=("O", "NAME")),
        }
    )


@pytest.fixture
def model(tiny_bert_config: "BertConfig", suite: TaskSuite) -> MultiTaskModel:
    return MultiTaskModel.from_backbone(BertModel(tiny_bert_config), suite)


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    """Two rows of three and two tokens."""
    return {
        "input_ids": torch.tensor([[2, 5, 3], [2, 3, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]]),
    }
