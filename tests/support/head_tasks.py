# SPDX-License-Identifier: Apache-2.0
"""Tasks of every type that a family has a native head for, with rows and labels of them."""

import torch
from head_families import VOCABULARY, padding_token
from torch import Tensor

from hf_mtl.tasks import TaskSpec, TaskSuite

__all__ = ["LENGTH", "NUM_ROWS", "batch", "some_labels", "suite"]

NUM_ROWS, LENGTH = 4, 6

# Families that were not pretrained on hidden tokens.
WITHOUT_MASKS = {"gpt2", "llama", "mistral", "qwen3"}


def suite(family: str) -> TaskSuite:
    """Tasks of every type that a family has a native head for."""
    if family == "vit":
        return TaskSuite(
            {
                "digit": TaskSpec("image-classification", labels=("0", "1", "2")),
                # Names that occur in weight names too, which older checkpoints of ViT rename.
                "encoder": TaskSpec("image-classification", labels=("a", "b")),
                "layer": TaskSpec("image-classification", labels=("a", "b")),
            }
        )
    if family == "t5":
        # Its native heads on rows and spans read a decoder.
        return TaskSuite(
            {
                "topic": TaskSpec("text-classification", labels=("a", "b", "c"), head="pooled"),
                "valence": TaskSpec("regression", head="pooled"),
                "parts": TaskSpec("token-classification", labels=("O", "X")),
            }
        )
    hidden = {} if family in WITHOUT_MASKS else {"hidden": TaskSpec("masked-lm")}
    return TaskSuite(
        {
            "topic": TaskSpec("text-classification", labels=("a", "b", "c")),
            "valence": TaskSpec("regression"),
            "parts": TaskSpec("token-classification", labels=("O", "X")),
            "moods": TaskSpec("multi-label-classification", labels=("a", "b", "c")),
            "stars": TaskSpec("ordinal-regression", labels=("1", "2", "3")),
            "where": TaskSpec("question-answering"),
            **hidden,
        }
    )


def batch(family: str) -> dict[str, Tensor]:
    """Four rows: two without padding, one padded on the right, one on the left."""
    if family == "vit":
        return {"pixel_values": torch.randn(NUM_ROWS, 1, 8, 8)}
    input_ids = torch.randint(3, VOCABULARY, (NUM_ROWS, LENGTH))
    attention_mask = torch.ones_like(input_ids)
    attention_mask[2, -2:] = 0
    attention_mask[3, :2] = 0
    return {
        "input_ids": input_ids.masked_fill(attention_mask == 0, padding_token(family)),
        "attention_mask": attention_mask,
    }


def some_labels(tasks: TaskSuite) -> dict[str, Tensor]:
    """Labels of every row, and in a task on words of every position but the first."""
    labels: dict[str, Tensor] = {}
    for task, spec in tasks.items():
        kind = spec.task_type.label_kind
        if spec.task_type.labels == "answer_span":
            labels[task] = torch.tensor([[0, -100, 1, 2, 0, 0], [3, -100, 0, 0, 0, 0]] * 2)
        elif spec.task_type.labels == "masked_token":
            labels[task] = torch.tensor([[-100, 7, 9, -100, 4, 5], [-100] * 5 + [8]] * 2)
        elif not kind.has_names:
            labels[task] = torch.tensor([1.0, -1.0, 0.5, 2.0])
        elif spec.task_type.labels == "class_set":
            labels[task] = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0], [1, torch.nan, 0]])
        elif kind.per_token:
            labels[task] = torch.arange(NUM_ROWS * LENGTH).view(NUM_ROWS, LENGTH) % 2
            labels[task][:, 0] = -100
        else:
            labels[task] = torch.tensor([0, 1, 1, 0])
    return labels
