# SPDX-License-Identifier: Apache-2.0
"""A short name for all that decides what a run gives, so that no run is made twice."""

import glob
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from datasets import Dataset

from hf_mtl.data import PreparedSource, SourceCollection
from hf_mtl.data.processing_fingerprint import processing_fingerprint
from hf_mtl.hub import library_versions
from hf_mtl.training.recipe import Recipe, RecipeData

__all__ = ["Fingerprint"]

_ROWS_AT_ONCE = 1000
# What a run is called and what it shows while it runs; secrets too.
_DECIDES_NOTHING = frozenset(
    {
        "disable_tqdm",
        "log_level",
        "log_level_replica",
        "output_dir",
        "overwrite_output_dir",
        "project",
        "run_name",
        "token",
    }
)
_DECIDING_NOTHING = ("hub_", "logging_", "trackio_")


@dataclass(frozen=True)
class Fingerprint:
    """What decides the runs of a recipe, seeds aside. Plain values only.

    Args:
        content: Backbone, tasks, settings, rows, and the versions of libraries.
    """

    content: Mapping[str, Any]

    @classmethod
    def of(cls, recipe: Recipe, data: RecipeData) -> "Fingerprint":
        """Fingerprint of a recipe with its data, whose rows are all read for it.

        Of a stream, what the recipe says of it stands for its rows, and sizes and times of local
        files.

        Args:
            recipe: The recipe.
            data: Its data.
        """
        splits = {"train": data.train, "validation": data.validation, "test": data.test}
        return cls(
            {
                "versions": library_versions(),
                "model": _deciding(recipe.model),
                "backbone_files": _files_at(recipe.model["backbone"]),
                "processing": processing_fingerprint(data.processing_class),
                "tasks": data.suite.to_list(),
                "arguments": _deciding(recipe.arguments),
                "rows": {
                    split: _rows(collection, recipe)
                    for split, collection in splits.items()
                    if collection is not None
                },
            }
        )

    def name(self, seed: int) -> str:
        """Name of the run with a seed, in hexadecimal digits.

        Args:
            seed: The seed.
        """
        arguments = {**self.content["arguments"], "seed": seed}
        # Dates, which YAML reads where they are not in quotes, are written as text.
        text = json.dumps({**self.content, "arguments": arguments}, sort_keys=True, default=str)
        return blake2b(text.encode(), digest_size=8).hexdigest()


def _deciding(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in given.items()
        if name not in _DECIDES_NOTHING and not name.startswith(_DECIDING_NOTHING)
    }


def _rows(collection: SourceCollection, recipe: Recipe) -> dict[str, Any]:
    """What stands for the rows of each source."""
    found: dict[str, Any] = {}
    for name, source in collection.sources.items():
        entry = recipe.sources[name]
        said = {} if entry is None else {**entry.data, "num_rows": entry.num_rows}
        rows = source.dataset if isinstance(source, PreparedSource) else None
        found[name] = _digest(rows) if isinstance(rows, Dataset) else said
        kind = collection.suite[source.tasks[0]].task_type.input_kind
        if kind.on_the_fly or rows is None:
            # Rows may hold the names of pictures only.
            places = [said.get(field) for field in ("path", "data_dir", "data_files")]
            found[name] = [found[name], _files_at(places)]
    return found


def _files_at(place: object) -> list[tuple[str, int, int]]:
    """Local files at a place, or at several, with their sizes and times; none of the Hub."""
    if isinstance(place, Mapping):
        return _files_at(list(place.values()))
    if isinstance(place, list):
        return [file for each in place for file in _files_at(each)]
    found = [Path(name) for name in glob.glob(str(place), recursive=True)] if place else []
    files = {
        file: file.stat()
        for path in found
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.is_file()
    }
    return [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in sorted(files.items())]


def _digest(dataset: Dataset) -> str:
    digest = blake2b(repr(dataset.features).encode(), digest_size=16)
    for table in dataset.with_format("arrow").iter(batch_size=_ROWS_AT_ONCE):
        for batch in table.combine_chunks().to_batches():
            digest.update(batch.serialize())
    return digest.hexdigest()
