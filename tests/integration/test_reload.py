# SPDX-License-Identifier: Apache-2.0
"""Saved models in a fresh process: the same bits, and a task of its own without hf_mtl."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, BertConfig, LlamaConfig, PreTrainedConfig, ViTConfig

from hf_mtl.models import MultiTaskModel
from hf_mtl.tasks import TaskSpec, TaskSuite

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TOKENS = {"vocab_size": 25, "pad_token_id": 0}
TEXT_TASKS = TaskSuite(
    {
        "topic": TaskSpec("text-classification", labels=("film", "book", "other")),
        "valence": TaskSpec("regression", head={"name": "pooled", "pooling": "last"}),
        "parts": TaskSpec("token-classification", labels=("O", "NAME")),
    }
)
VISION_TASKS = TaskSuite({"digit": TaskSpec("image-classification", labels=("0", "1"))})
CONFIG_BY_NAME: dict[str, PreTrainedConfig] = {
    "bert": BertConfig(**SIZES, **TOKENS),
    "llama": LlamaConfig(**SIZES, **TOKENS, num_key_value_heads=2),
    "vit": ViTConfig(**SIZES, image_size=8, patch_size=4, num_channels=1),
}

LOAD_ALL = """
import sys
import torch
import hf_mtl.models
from transformers import AutoModel

for folder, loader in (line.split() for line in sys.stdin):
    inputs = torch.load(f"{folder}/inputs.pt")
    loaders = {"auto": AutoModel, "own": hf_mtl.models.MultiTaskModel}
    model = loaders[loader].from_pretrained(folder)
    logits, tensors, tasks = model(**inputs).logits, model.state_dict(), list(model.suite)
    torch.save({"logits": logits, "tensors": tensors, "tasks": tasks}, f"{folder}/{loader}.pt")
"""

LOAD_ONE_TASK = """
import sys
import torch
from transformers import AutoModelForSequenceClassification

folder = sys.argv[1]
model = AutoModelForSequenceClassification.from_pretrained(folder)
torch.save(model(**torch.load(f"{folder}/inputs.pt")).logits, f"{folder}/logits.pt")
assert not any(name.startswith("hf_mtl") for name in sys.modules)
"""


def run_python(code: str, *arguments: str, text: str = "") -> None:
    """Runs code in a new interpreter, on as many threads as here."""
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input=text,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def build(name: str) -> tuple[MultiTaskModel, dict[str, torch.Tensor]]:
    """A model of that backbone with random weights, and two rows for it."""
    backbone = AutoModel.from_config(CONFIG_BY_NAME[name])
    if name == "vit":
        model = MultiTaskModel.from_backbone(backbone, VISION_TASKS)
        return model, {"pixel_values": torch.randn(2, 1, 8, 8)}
    inputs = {
        "input_ids": torch.tensor([[2, 5, 9, 3], [2, 7, 3, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    }
    return MultiTaskModel.from_backbone(backbone, TEXT_TASKS), inputs


def test_models_come_back_bit_for_bit_in_a_fresh_process(tmp_path: Path):
    saved = {}
    for name in CONFIG_BY_NAME:
        for max_shard_size in ("1GB", "4KB"):
            folder = tmp_path / f"{name}-{max_shard_size}"
            model, inputs = build(name)
            model.save_pretrained(folder, max_shard_size=max_shard_size)
            assert (len([*folder.glob("*.safetensors")]) > 1) == (max_shard_size == "4KB")
            torch.save(inputs, folder / "inputs.pt")
            saved[folder] = model, inputs
    run_python(
        LOAD_ALL,
        text="\n".join(f"{folder} {loader}" for folder in saved for loader in ("own", "auto")),
    )
    for folder, (model, inputs) in saved.items():
        logits, tensors = model(**inputs).logits, model.state_dict()
        for loader in ("own", "auto"):
            found = torch.load(folder / f"{loader}.pt")
            assert found["tasks"] == list(model.suite)
            assert found["tensors"].keys() == tensors.keys()
            assert all(torch.equal(found["tensors"][name], tensors[name]) for name in tensors)
            assert all(torch.equal(found["logits"][task], logits[task]) for task in logits)


@pytest.mark.slow
def test_a_single_task_loads_in_a_process_without_hf_mtl(tmp_path: Path):
    model, inputs = build("bert")
    model.to_single_task("topic").save_pretrained(tmp_path)
    torch.save(inputs, tmp_path / "inputs.pt")
    run_python(LOAD_ONE_TASK, str(tmp_path))
    assert torch.equal(torch.load(tmp_path / "logits.pt"), model(**inputs).logits["topic"])
