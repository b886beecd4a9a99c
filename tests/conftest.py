# SPDX-License-Identifier: Apache-2.0
"""What every test has: no network, caches of its own, fixed seeds, tiny models and tokenizers."""

import atexit
import functools
import importlib.util
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
    from collections.abc import Callable, Iterator

    from transformers import BertConfig, PreTrainedTokenizerFast

# Read by huggingface_hub and datasets at their import, which comes later.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hf_mtl-tests-")
atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)

REAL_DATA = Path(os.environ.get("HF_MTL_CACHE") or Path.home() / ".cache" / "hf_mtl" / "quickstart")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what this machine cannot run, and says what it misses."""
    reason_by_marker = {
        "real_weights": None
        if (REAL_DATA / "minilm" / "model.safetensors").exists()
        else f"no encoder in {REAL_DATA}; `make data` brings it",
        "deepspeed": None
        if importlib.util.find_spec("deepspeed")
        else "no DeepSpeed; `make install` brings it",
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


@pytest.fixture(autouse=True)
def compilation_is_not_inherited() -> "Iterator[None]":
    """Training arguments with ``torch_compile`` leave a variable by which later ones compile."""
    yield
    os.environ.pop("ACCELERATE_DYNAMO_BACKEND", None)


@pytest.fixture(autouse=True)
def claimed_names_are_freed(monkeypatch: pytest.MonkeyPatch) -> "Iterator[None]":
    """What a test registers beside the package's own classes is gone after it."""
    from hf_mtl._registry import Registry

    claimed: list[tuple[Registry, str]] = []
    register = Registry.register

    @functools.wraps(register)
    def noted(registry: Registry, name: str) -> "Callable[[type], type]":
        claim = register(registry, name)

        def claim_and_note(cls: type) -> type:
            claim(cls)
            if not cls.__module__.startswith("hf_mtl."):
                claimed.append((registry, name))
            return cls

        return claim_and_note

    monkeypatch.setattr(Registry, "register", noted)
    yield
    for registry, name in claimed:
        del registry._class_by_name[name]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder that `recipes/quickstart/fetch.py` filled; for tests marked `real_weights`."""
    return REAL_DATA


@pytest.fixture
def tiny_tokenizer() -> "PreTrainedTokenizerFast":
    """Fast tokenizer of the whole words of `TINY_TEXT`; anything else is `[UNK]`."""
    from toy_runs import toy_tokenizer

    return toy_tokenizer()


@pytest.fixture
def tiny_bert_config() -> "BertConfig":
    """Two layers, 16 wide, without dropout, with room for the tiny tokenizer's words."""
    from toy_runs import tiny_bert_config

    return tiny_bert_config()
