# SPDX-License-Identifier: Apache-2.0
"""Where local data come from, as a file beside them says."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transformers.utils import logging

from hf_mtl.training.recipe.recipe import Recipe

__all__ = ["PROVENANCE_FILE", "provenance"]

logger = logging.get_logger(__name__)

PROVENANCE_FILE = "provenance.json"
"""File beside data or a backbone: ``{"archives": [{"name", "version", "license", ...}]}``."""


def provenance(recipe: Recipe) -> list[dict[str, Any]]:
    """Origins of a recipe's local files: name, version, licence, hash and content of each.

    Args:
        recipe: The recipe.
    """
    files = [str(recipe.model.get("backbone", ""))]
    for entry in recipe.sources.values():
        if entry is not None:
            files += _strings(entry.data.get("data_files"))
    folders = dict.fromkeys(Path(file).parent for file in files)
    origins: list[dict[str, Any]] = []
    for folder in folders:
        record = folder / PROVENANCE_FILE
        if record.is_file():
            origins += [origin for origin in _archives(record) if origin not in origins]
    return origins


def _archives(record: Path) -> list[dict[str, Any]]:
    """Origins in a file; none if it is somebody else's, of the same name but another form."""
    try:
        found = json.loads(record.read_text("utf-8"))["archives"]
        if all(isinstance(origin, dict) for origin in found):
            return list(found)
    except (OSError, ValueError, TypeError, LookupError):
        pass
    logger.info(f"{record} is left out of the card: it does not hold what the card shows.")
    return []


def _strings(files: object) -> Iterator[str]:
    if isinstance(files, str):
        yield files
    elif isinstance(files, Mapping):
        for entry in files.values():
            yield from _strings(entry)
    elif isinstance(files, list):
        for entry in files:
            yield from _strings(entry)
