# SPDX-License-Identifier: Apache-2.0
"""The composition root: arguments, the trainer, and recipes."""

from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.trainer import MultiTaskTrainer

__all__ = ["MultiTaskTrainer", "MultiTaskTrainingArguments"]
