# SPDX-License-Identifier: Apache-2.0
"""Recipes as text: one without faults, and what is said of a changed one."""

from pathlib import Path
from typing import Any

from hf_mtl._yaml import dump_yaml
from hf_mtl.training.recipe import Recipe

__all__ = ["faults", "read", "three_tasks"]


def three_tasks(folder: Path) -> dict[str, Any]:
    """Recipe without faults: two tasks on one shared source, one on rows of its own."""
    (folder / "news.csv").write_text("body,group\n")
    (folder / "names.jsonl").write_text("")
    return {
        "model": {"backbone": "bert-base-uncased"},
        "tasks": {
            "topic": {
                "type": "text-classification",
                "data": {"path": "csv", "data_files": "news.csv"},
                "columns": {"text": "body", "label": "group"},
            },
            "parts": {"type": "token-classification", "source": "names"},
            "kind": {
                "type": "text-classification",
                "source": "names",
                "columns": {"text": "tokens"},
            },
        },
        "sources": {"names": {"path": "json", "data_files": {"train": "names.jsonl"}}},
        "mixture": {"tasks_per_step": "all"},
        "training": {"output_dir": "out"},
    }


def read(folder: Path, content: Any, *overrides: str) -> Recipe:
    """The recipe of a folder with some content, which is text or will be."""
    text = content if isinstance(content, str) else dump_yaml(content)
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return Recipe.from_file(folder / "recipe.yaml", overrides)


def faults(folder: Path, content: Any, *overrides: str) -> tuple[str, ...]:
    """What is wrong with it."""
    return read(folder, content, *overrides).faults
