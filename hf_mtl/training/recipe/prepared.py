# SPDX-License-Identifier: Apache-2.0
"""The data of a recipe, prepared once into a folder and taken from there by every run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_mtl.data import check_lengths, max_positions
from hf_mtl.data.prepared_index import load_prepared, prepared_details, save_prepared
from hf_mtl.training.recipe.backbone import (
    backbone_config,
    load_processing_class,
    weightless_model,
)
from hf_mtl.training.recipe.loading import RecipeData
from hf_mtl.training.recipe.recipe import Recipe

__all__ = ["load_prepared_data", "save_prepared_data"]


def save_prepared_data(recipe: Recipe, data: RecipeData, folder: str | Path) -> None:
    """Writes the rows of a recipe into a folder.

    Args:
        recipe: The recipe.
        data: Its data, from ``load_data``.
        folder: The folder.

    Raises:
        ValueError: If the folder holds other files, or a source is a stream.
    """
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    save_prepared(
        {split: rows for split, rows in splits.items() if rows is not None},
        folder,
        details={"data": _data_sections(recipe), "eval_splits": dict(data.eval_splits)},
    )


def load_prepared_data(recipe: Recipe, folder: str | Path) -> RecipeData:
    """Data of a recipe from the folder that they were prepared into.

    The files that the recipe names are not looked at: where their rows have changed, prepare again.

    Args:
        recipe: The recipe.
        folder: What ``save_prepared_data`` wrote.

    Raises:
        RecipeError: If anything is wrong with the recipe's text.
        FileNotFoundError: If the folder holds no prepared rows.
        ValueError: If they were prepared for another recipe's data, tasks or tokenizer, or by
            another version, or are longer than the backbone can read.
    """
    recipe.raise_faults()
    assert recipe.suite is not None  # a recipe without tasks has faults
    details = prepared_details(folder)
    _check_same_data(folder, details["data"], _data_sections(recipe))
    config = backbone_config(recipe.model, Path(recipe.origin).parent)
    processing_class = load_processing_class(recipe.model)
    splits = load_prepared(folder, recipe.suite, processing_class)
    suite = splits["train"].suite
    # The plan builds all heads; one will do to look at the backbone.
    one_task = suite.subset(list(suite)[:1])
    limit = max_positions(weightless_model(config, one_task).backbone)
    for rows in splits.values():
        check_lengths(rows, limit)
    return RecipeData(
        suite=suite,
        processing_class=processing_class,
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits.get("test"),
        eval_splits=details["eval_splits"],
    )


def _data_sections(recipe: Recipe) -> dict[str, Any]:
    """What a recipe says of where rows lie, as it is written, so that folders may move."""
    tasks: Mapping[str, Any] = recipe.content.get("tasks") or {}
    own = {task: given["data"] for task, given in tasks.items() if "data" in given}
    return {**(recipe.content.get("sources") or {}), **own}


def _check_same_data(folder: str | Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for source in before.keys() | now.keys():
        if before.get(source) != now.get(source):
            raise ValueError(
                f"`prepared` must be of the recipe's data, but in {str(folder)!r} source "
                f"{source!r} is {before.get(source)}, and in the recipe {now.get(source)}. "
                f"Prepare the data again."
            )
