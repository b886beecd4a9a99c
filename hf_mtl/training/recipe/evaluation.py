# SPDX-License-Identifier: Apache-2.0
"""A trained model on the data of a recipe."""

from hf_mtl._checks import check_known
from hf_mtl.tasks import TaskSpec, TaskSuite
from hf_mtl.training.recipe.problems import Problems
from hf_mtl.training.recipe.recipe import Recipe

__all__ = ["settled_suite"]


def settled_suite(recipe: Recipe, trained: TaskSuite) -> TaskSuite:
    """The recipe's tasks with the label names that a model was trained with.

    Args:
        recipe: The recipe; it may leave tasks of the model out.
        trained: The model's tasks.

    Raises:
        RecipeError: If the recipe has faults, or a task that the model has not, or has with
            another type or other labels.
    """
    problems = Problems(recipe.origin, recipe.faults)
    settled: dict[str, TaskSpec] = {}
    for task, spec in (recipe.suite or {}).items():
        with problems.at(f"tasks.{task}"):
            check_known("task of the model", task, trained)
            _check_same("type", spec.type, trained[task].type)
            if spec.labels is not None:
                _check_same("labels", spec.labels, trained[task].labels)
            settled[task] = spec.replace(labels=trained[task].labels)
    problems.raise_if_any()
    return TaskSuite(settled)


def _check_same(name: str, given: object, trained: object) -> None:
    if given != trained:
        raise ValueError(
            f"`{name}` must be that of the trained model, {trained!r}, but got {given!r}."
        )
