# SPDX-License-Identifier: Apache-2.0
"""What a run gave, beside the answer that is the same for every row."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hf_mtl.data import eval_dataloader
from hf_mtl.evaluation import ResultRow, collect, constant_baseline, result_rows, task_metrics
from hf_mtl.hub import RunResults, library_versions, machine_description
from hf_mtl.models import MultiTaskModel
from hf_mtl.models.parameters import num_parameters
from hf_mtl.training.recipe.arguments import section_of
from hf_mtl.training.recipe.loading import RecipeData
from hf_mtl.training.recipe.provenance import provenance
from hf_mtl.training.recipe.recipe import Recipe
from hf_mtl.training.trainer import MultiTaskTrainer

__all__ = ["describe_run", "plain_rows", "results_of_model", "results_of_training"]

_PREFIX = "eval"
# Secrets, and what says nothing about the model.
_NOT_SHOWN = frozenset({"backbone", "hub_token", "output_dir", "overwrite_output_dir", "token"})


def results_of_training(trainer: MultiTaskTrainer, data: RecipeData) -> list[ResultRow]:
    """Metrics of a trainer's model on a recipe's test rows; none if there are none.

    Args:
        trainer: The trainer, which says where and in what precision the model runs.
        data: The recipe's data.
    """
    if data.test is None:
        return []
    output = trainer.predict(data.test, metric_key_prefix=_PREFIX)
    references: Any = output.label_ids
    num_rows = {task: len(references[task]) for task in data.suite}
    return _rows(data, output.metrics or {}, num_rows)


def results_of_model(model: MultiTaskModel, data: RecipeData, batch_size: int) -> list[ResultRow]:
    """Metrics of a model on a recipe's test rows; none if there are none.

    Args:
        model: The model, on the device that it is to run on.
        data: The recipe's data; its tasks may be some of the model's.
        batch_size: Rows of one forward.
    """
    if data.test is None:
        return []
    collected = collect(model, eval_dataloader(data.test, batch_size=batch_size))
    num_rows = {task: len(found.references) for task, found in collected.items()}
    return _rows(data, task_metrics(data.suite, collected, _PREFIX), num_rows)


def describe_run(
    recipe: Recipe,
    data: RecipeData,
    model: MultiTaskModel,
    rows: Sequence[ResultRow],
    *,
    seconds: Mapping[str, float],
    command: str | None = None,
) -> RunResults:
    """All that the card of a run tells.

    Args:
        recipe: The recipe.
        data: Its data.
        model: The trained model.
        rows: Its metrics.
        seconds: Durations by what took them.
        command: The command that repeats the run.
    """
    return RunResults(
        suite=data.suite,
        results=plain_rows(rows),
        backbone=_backbone_name(recipe),
        seed=recipe.seed,
        num_parameters=num_parameters(model),
        num_train_rows=data.train.known_rows,
        settings=_settings(recipe),
        seconds=seconds,
        machine=machine_description(),
        versions=library_versions(),
        data=provenance(recipe),
        command=command,
    )


def plain_rows(rows: Sequence[ResultRow]) -> list[dict[str, Any]]:
    """Rows as plain values, for JSON.

    Args:
        rows: Rows of the table of results.
    """
    return [asdict(row) for row in rows]


def _settings(recipe: Recipe) -> dict[str, Any]:
    """What the user chose, by section; tasks and sources have tables of their own."""
    names = ("model", "mixture", "balancing", "training")
    sections: dict[str, dict[str, Any]] = {name: {} for name in names}
    sections["model"] |= recipe.model
    for name, value in recipe.arguments.items():
        sections[section_of(name)][name] = value
    shown = {
        section: {name: value for name, value in given.items() if name not in _NOT_SHOWN}
        for section, given in sections.items()
    }
    return {section: given for section, given in shown.items() if given}


def _backbone_name(recipe: Recipe) -> str:
    """Backbone as the recipe names it, a folder in a form that no name on the Hub has."""
    given = str(recipe.content["model"]["backbone"])
    is_relative_folder = recipe.model["backbone"] != given and not given.startswith(".")
    return f"./{given}" if is_relative_folder else given


def _rows(
    data: RecipeData, metrics: Mapping[str, float], num_rows: Mapping[str, int]
) -> list[ResultRow]:
    assert data.test is not None
    baselines = constant_baseline(data.suite, data.train, data.test)
    return result_rows(data.suite, metrics, num_rows=num_rows, baselines=baselines, prefix=_PREFIX)
