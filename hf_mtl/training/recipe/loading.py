# SPDX-License-Identifier: Apache-2.0
"""The data of a recipe, loaded and checked before any weight is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedConfig

from hf_mtl.data import PreparedSource, SourceCollection, find_labels, prepare
from hf_mtl.tasks import TaskSuite
from hf_mtl.training.recipe.backbone import (
    backbone_config,
    check_model_fields,
    load_processing_class,
    weightless_model,
)
from hf_mtl.training.recipe.problems import Problems
from hf_mtl.training.recipe.recipe import Recipe
from hf_mtl.training.recipe.sources import NO_SPLIT, SourceEntry
from hf_mtl.training.recipe.splits import load_splits

__all__ = ["RecipeData", "load_data"]


@dataclass(frozen=True)
class RecipeData:
    """Rows of every source, found to be right for the tasks on them.

    Attributes:
        suite: The tasks, with the label names that were found in the training rows.
        processing_class: Tokenizer, image processor or processor that encodes the rows.
        train: Rows to train on.
        test: Rows to evaluate on; ``None`` if the recipe says that there are none.
        eval_splits: Name of the split that ``test`` is, for each source.
    """

    suite: TaskSuite
    processing_class: Any
    train: SourceCollection
    test: SourceCollection | None
    eval_splits: Mapping[str, str]


@dataclass(frozen=True)
class _Source:
    """One source that is right: its tasks with their label names, and its rows."""

    suite: TaskSuite
    train: PreparedSource
    test: PreparedSource | None
    eval_split: str


def load_data(
    recipe: Recipe, *, suite: TaskSuite | None = None, processing_class: Any = None
) -> RecipeData:
    """Data of a recipe, every source checked against the tasks on it.

    Args:
        recipe: The recipe.
        suite: Tasks in place of the recipe's, such as those of a trained model with their labels.
        processing_class: What encodes the rows. ``None``: that of the recipe's backbone, which is
            then checked as well.

    Raises:
        RecipeError: If anything is wrong with the recipe's text or with its data; the message
            has all of it.
    """
    problems = Problems(recipe.origin, recipe.faults)
    suite = suite or recipe.suite
    config: PreTrainedConfig | None = None
    if processing_class is None and isinstance(recipe.model.get("backbone"), str):
        with problems.at("model.backbone"):
            config = backbone_config(recipe.model)
            processing_class = load_processing_class(recipe.model)
    if config is not None:
        with problems.at("model"):
            check_model_fields(recipe.model)
    sources: dict[str, _Source] = {}
    for source, tasks in suite.sources.items() if suite is not None else ():
        entry = recipe.sources.get(source)
        if entry is not None and suite is not None:
            with problems.at(entry.path):
                loaded = _load(entry, source, suite.subset(tasks), processing_class, problems)
                sources |= {source: loaded} if loaded is not None else {}
    _check_evaluation(sources, str(recipe.arguments.get("eval_strategy", "no")), problems)
    problems.raise_if_any()
    assert suite is not None  # a recipe without tasks has faults
    data = _joined(suite, sources, processing_class)
    if config is not None:
        with problems.at("model"):
            weightless_model(config, data.suite)
        problems.raise_if_any()
    return data


def _load(
    entry: SourceEntry, source: str, suite: TaskSuite, processing_class: Any, problems: Problems
) -> _Source | None:
    """One source, ``None`` if a split is wrong; what is wrong with each of them is noted.

    Raises:
        ValueError: If there are no such splits, or no label names are found.
        KeyError: If a column is missing from the training rows.
    """
    splits = load_splits(entry)
    suite = find_labels(suite, {source: splits.train})
    prepared: dict[str, PreparedSource] = {}
    rows_by_split = {"train": splits.train, "test": splits.test}
    names = {"train": splits.train_name, "test": splits.test_name}
    for split, rows in rows_by_split.items():
        if rows is None or processing_class is None:
            continue
        with problems.at(f"{entry.path}, split {names[split]!r}"):
            collection = prepare(suite, {source: rows}, processing_class, split=names[split])
            prepared[split] = collection.sources[source]
    if "train" not in prepared or (splits.test is not None and "test" not in prepared):
        return None
    return _Source(suite, prepared["train"], prepared.get("test"), splits.test_name)


def _check_evaluation(
    sources: Mapping[str, _Source], eval_strategy: str, problems: Problems
) -> None:
    """Notes evaluation that would not happen, or not for all tasks."""
    without = [source for source, loaded in sources.items() if loaded.test is None]
    if without and len(without) < len(sources):
        problems.add(
            "sources",
            f"Either all sources or none must have a split to evaluate on, but {without} say "
            f"`eval_split: {NO_SPLIT}`. Name a split for them, or say so for all.",
        )
    elif without and eval_strategy != "no":
        problems.add(
            "training.eval_strategy",
            f"`eval_strategy` must be 'no' where no source has a split to evaluate on, but got "
            f"{eval_strategy!r}. Leave it out, or name a split in place of `{NO_SPLIT}`.",
        )


def _joined(suite: TaskSuite, sources: Mapping[str, _Source], processing_class: Any) -> RecipeData:
    found = {task: spec for loaded in sources.values() for task, spec in loaded.suite.items()}
    suite = TaskSuite({task: found[task] for task in suite})
    train = {source: loaded.train for source, loaded in sources.items()}
    test = {source: loaded.test for source, loaded in sources.items() if loaded.test is not None}
    return RecipeData(
        suite=suite,
        processing_class=processing_class,
        train=SourceCollection(suite, train, processing_class),
        test=SourceCollection(suite, test, processing_class) if test else None,
        eval_splits={source: loaded.eval_split for source, loaded in sources.items()},
    )
