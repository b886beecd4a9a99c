# SPDX-License-Identifier: Apache-2.0
"""What every test has: no network, caches of its own, fixed seeds, tiny models and tokenizers."""

import atexit
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from transformers import BertConfig, PreTrainedTokenizerFast

# Read by huggingface_hub and datasets at their import, which comes later.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hf_mtl-tests-")
atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)

REAL_DATA = Path(os.environ.get("HF_MTL_CACHE") or Path.home() / ".cache" / "hf_mtl" / "quickstart")
TINY_TEXT = "a the film book was is very not good bad great dull Ada Byron Bell Labs Inc . , ! ?"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what this machine cannot run, and says what it misses."""
    reason_by_marker = {
        "real_weights": None
        if (REAL_DATA / "minilm" / "model.safetensors").exists()
        else f"no encoder in {REAL_DATA}; `make data` brings it",
        "gpu": None if _has_accelerator(items) else "no accelerator",
    }
    for item in items:
        for marker, reason in reason_by_marker.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _has_accelerator(items: list[pytest.Item]) -> bool:
    if not any(item.get_closest_marker("gpu") for item in items):
        return True  # nobody asks, and torch need not be imported for it
    import torch

    return torch.accelerator.is_available()


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Every test starts from the same random numbers, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder that `recipes/quickstart/fetch.py` filled; for tests marked `real_weights`."""
    return REAL_DATA


@pytest.fixture
def tiny_tokenizer() -> "PreTrainedTokenizerFast":
    """Fast tokenizer of the whole words of `TINY_TEXT`; anything else is `[UNK]`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: index for index, word in enumerate([*special, *TINY_TEXT.split()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=32,
    )


@pytest.fixture
def tiny_bert_config() -> "BertConfig":
    """Two layers, 16 wide, without dropout, with room for the tiny tokenizer's words."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=4 + len(TINY_TEXT.split()),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
