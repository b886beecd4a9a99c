# SPDX-License-Identifier: Apache-2.0
"""The data of a recipe, loaded and checked before any weight is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import IterableDataset
from transformers import PreTrainedConfig
from transformers.utils import logging

from hf_mtl.data import (
    SAMPLERS,
    PreparedSource,
    SourceCollection,
    StreamSource,
    check_lengths,
    find_labels,
    max_positions,
    prepare,
)
from hf_mtl.evaluation import check_metrics
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

logger = logging.get_logger(__name__)


@dataclass(frozen=True)
class RecipeData:
    """Rows of every source, found to be right for the tasks on them.

    Attributes:
        suite: The tasks, with the label names that were found in the training rows.
        processing_class: Tokenizer, image processor or processor that encodes the rows.
        train: Rows to train on.
        validation: Rows to evaluate on during training: of each source its validation split, or
            its rows of ``test`` if it has none beside them.
        test: Rows to report on; ``None`` if the recipe says that there are none.
        eval_splits: Name of the split that ``test`` is, for each source.
    """

    suite: TaskSuite
    processing_class: Any
    train: SourceCollection
    validation: SourceCollection | None
    test: SourceCollection | None
    eval_splits: Mapping[str, str]


@dataclass(frozen=True)
class _Source:
    """One source that is right: its tasks with their label names, and its rows by their use."""

    suite: TaskSuite
    rows: Mapping[str, PreparedSource | StreamSource]
    split_names: Mapping[str, str]


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
            config = backbone_config(recipe.model, Path(recipe.origin).parent)
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
    if recipe.faults:
        _check_other_sources(recipe, suite, problems)
    _check_evaluation(sources, str(recipe.arguments.get("eval_strategy", "no")), problems)
    problems.raise_if_any()
    assert suite is not None  # a recipe without tasks has faults
    data = _joined(suite, sources, processing_class)
    if config is not None:
        _check_backbone(recipe, config, data, sources, problems)
        _check_lengths_known(recipe, data, problems)
        _warn_of_chosen_rows(recipe, sources)
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
    for task in suite:
        # Some metrics judge only labels of a certain form, which may just have been found.
        with problems.at(f"tasks.{task}.metrics"):
            check_metrics(suite.subset([task]))
    given = {
        "train": (splits.train_name, splits.train),
        "validation": (splits.validation_name, splits.validation),
        "test": (splits.test_name, splits.test),
    }
    names = {use: name for use, (name, rows) in given.items() if name and rows is not None}
    prepared: dict[str, PreparedSource | StreamSource] = {}
    for use, (_, rows) in given.items():
        if rows is None or processing_class is None:
            continue
        with problems.at(f"{entry.path}, split {names[use]!r}"):
            is_stream = isinstance(rows, IterableDataset)
            collection = prepare(
                suite,
                {source: rows},
                processing_class,
                split="train" if is_stream else names[use],
                num_rows={source: entry.num_rows} if is_stream and entry.num_rows else None,
            )
            prepared[use] = collection.sources[source]
    return _Source(suite, prepared, names) if prepared.keys() == names.keys() else None


def _check_other_sources(recipe: Recipe, suite: TaskSuite | None, problems: Problems) -> None:
    """Notes what is wrong with rows that are of wrong tasks only."""
    judged = suite.sources if suite is not None else {}
    for source, entry in recipe.sources.items():
        if entry is not None and source not in judged:
            with problems.at(entry.path):
                load_splits(entry)


def _check_evaluation(
    sources: Mapping[str, _Source], eval_strategy: str, problems: Problems
) -> None:
    """Notes evaluation that would not happen, or not for all tasks."""
    without = [source for source, loaded in sources.items() if "test" not in loaded.rows]
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

    def rows(*uses: str) -> SourceCollection | None:
        """Rows of every source for the first of these uses that it has rows for."""
        chosen = {
            source: next((loaded.rows[use] for use in uses if use in loaded.rows), None)
            for source, loaded in sources.items()
        }
        there = {source: prepared for source, prepared in chosen.items() if prepared is not None}
        return SourceCollection(suite, there, processing_class) if there else None

    train = rows("train")
    assert train is not None
    return RecipeData(
        suite=suite,
        processing_class=processing_class,
        train=train,
        validation=rows("validation", "test"),
        test=rows("test"),
        eval_splits={
            source: loaded.split_names.get("test", NO_SPLIT) for source, loaded in sources.items()
        },
    )


def _check_backbone(
    recipe: Recipe,
    config: PreTrainedConfig,
    data: RecipeData,
    sources: Mapping[str, _Source],
    problems: Problems,
) -> None:
    """Raises unless the backbone suits the tasks and can read every row."""
    with problems.at("model"):
        limit = max_positions(weightless_model(config, data.suite).backbone)
        for source, loaded in sources.items():
            entry = recipe.sources[source]
            for use, rows in loaded.rows.items():
                place = f"{entry.path if entry else source}, split {loaded.split_names[use]!r}"
                with problems.at(place):
                    one = SourceCollection(data.suite, {source: rows}, data.processing_class)
                    check_lengths(one, limit)
    problems.raise_if_any()


def _check_lengths_known(recipe: Recipe, data: RecipeData, problems: Problems) -> None:
    """Raises unless the run can do without the lengths of its streams."""
    is_drawn = recipe.arguments.get("tasks_per_step", 1) != "all"
    with problems.at("sources"):
        data.train.sizes(
            batch_size=1,
            max_steps=int(recipe.arguments.get("max_steps", -1)),
            sampler=SAMPLERS.build(recipe.arguments.get("sampler") or "proportional")
            if is_drawn
            else None,
        )
    problems.raise_if_any()


def _warn_of_chosen_rows(recipe: Recipe, sources: Mapping[str, _Source]) -> None:
    without = [name for name, loaded in sources.items() if "validation" not in loaded.rows]
    if recipe.arguments.get("load_best_model_at_end") and without:
        logger.warning(
            f"The best checkpoint is chosen on the rows that are reported, which flatters it: "
            f"sources {without} have no validation split beside a test split."
        )
