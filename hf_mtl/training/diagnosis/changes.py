# SPDX-License-Identifier: Apache-2.0
"""What is changed in a recipe so that a short run compares gradients in every step.

A setting that would stand in the way is changed rather than refused, because the user did not write
what it does not go with. With a gradient method of the user's own the recipe is left as it is.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hf_mtl.training.adaptive_checks import without_adapting
from hf_mtl.training.checks import check_gradient_method, check_long_enough
from hf_mtl.training.loss_weights import weighting_of
from hf_mtl.training.mixture import step_plan
from hf_mtl.training.recipe import Recipe, RecipeData
from hf_mtl.training.recipe.arguments import section_of

__all__ = ["recipe_to_watch", "with_weighting_that_is_heard"]

Changes = Mapping[str, Any]
"""Values of training arguments, by name."""

# What keeps a run short, unseen and unsaved, whatever the recipe is.
_SHORT_RUN: Changes = {
    "logging_steps": 1,
    "logging_strategy": "steps",
    "save_strategy": "no",
    "eval_strategy": "no",
    "eval_on_start": False,
    "load_best_model_at_end": False,
    "push_to_hub": False,
    "report_to": "none",
    "gradient_update_every": 1,
    "task_patience": None,
    "early_stopping_patience": None,
}
# What a run with a gradient method is refused with: the value that goes, if the recipe says more.
_NOT_WITH_A_METHOD: Changes = {
    "fp16": False,
    "torch_compile": False,
    "torch_compile_backend": None,
    "torch_compile_mode": None,
    "torch_empty_cache_steps": None,
}
# Schedules that go by evaluations, of which there are none.
_SCHEDULES_BY_METRIC = frozenset({"reduce_lr_on_plateau", "greedy"})
_WITHOUT_WEIGHTING: Changes = {"weighting": None, "weighting_losses": "current"}


def recipe_to_watch(
    path: str | Path, overrides: Iterable[str], *, steps: int, run_folder: str
) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe, made to compare gradients in every step and to keep nothing.

    Args:
        path: The file.
        overrides: The user's changes to it.
        steps: Optimizer steps.
        run_folder: Where the run may write.

    Returns:
        The recipe, and what is changed in it, each ``name: value``: what the user wrote otherwise,
        and what decides what is compared.
    """
    overrides = tuple(overrides)
    given = Recipe.from_file(path, overrides)
    written = _written(given)
    has_method = written.get("gradient_method") is not None
    changes: dict[str, Any] = {"max_steps": steps}
    if not has_method:
        changes |= _to_compare(written)
    decisive = {"max_steps", "gradient_method", "tasks_per_step"} & set(changes)
    changes |= _SHORT_RUN
    if written.get("lr_scheduler_type") in _SCHEDULES_BY_METRIC:
        changes |= {"lr_scheduler_type": "constant", "lr_scheduler_kwargs": None}
    weighting = given.arguments.get("weighting")
    if weighting is not None and weighting_of(weighting).needs_evaluation:
        changes |= _WITHOUT_WEIGHTING
    sampler = given.arguments.get("sampler")
    if sampler is not None and "sampler" not in changes:
        # A short run ends before a sampler can follow it.
        changes |= {"sampler": without_adapting(sampler)}
    in_folder = {"output_dir": run_folder}
    if not has_method:
        changes |= _without_unfit_engine(path, overrides, changes | in_folder, written)
    said = {
        name: value
        for name, value in changes.items()
        if name in decisive or (name in written and _differs(written[name], value))
    }
    return _changed(path, overrides, changes | in_folder), _in_words(said)


def with_weighting_that_is_heard(
    recipe: Recipe, data: RecipeData
) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe, without a weighting that would wait for longer than the run lasts.

    Args:
        recipe: The recipe, made to be watched.
        data: Its data.

    Returns:
        The recipe, and what is changed in it.
    """
    args = recipe.training_arguments()
    if args.weighting is None:
        return recipe, ()
    plan = step_plan(data.train, args, args.train_batch_size)
    try:
        check_long_enough(args, steps=args.max_steps, steps_per_epoch=plan.num_steps)
    except ValueError:
        without = replace(recipe, arguments={**recipe.arguments, **_WITHOUT_WEIGHTING})
        said = {
            name: value
            for name, value in _WITHOUT_WEIGHTING.items()
            if recipe.arguments.get(name, value) != value
        }
        return without, _in_words(said)
    return recipe, ()


def _written(recipe: Recipe) -> dict[str, Any]:
    """Training arguments as the user wrote them, right or wrong."""
    sections = [recipe.content.get(name) for name in ("mixture", "balancing", "training")]
    mappings = [section for section in sections if isinstance(section, Mapping)]
    return {name: value for section in mappings for name, value in section.items()}


def _to_compare(written: Changes) -> dict[str, Any]:
    """What makes a recipe without a gradient method compare gradients."""
    changes: dict[str, Any] = {"gradient_method": "mean"}
    if str(written.get("tasks_per_step", 1)) == "1":
        changes |= {"tasks_per_step": "all", "sampler": None}
    changes |= {name: off for name, off in _NOT_WITH_A_METHOD.items() if name in written}
    return changes


def _without_unfit_engine(
    path: str | Path, overrides: tuple[str, ...], changes: Changes, written: Changes
) -> dict[str, Any]:
    """Leaves out an engine, or its scope, that cannot compare what is compared."""
    unfit: dict[str, Any] = {}
    for name in ("gradient_engine", "gradient_scope"):
        if written.get(name) is None:
            continue
        so_far = {**changes, **unfit}
        is_refused = _is_refused(_changed(path, overrides, so_far))
        if is_refused and not _is_refused(_changed(path, overrides, {**so_far, name: None})):
            unfit[name] = None
    return unfit


def _is_refused(recipe: Recipe) -> bool:
    if recipe.suite is None:
        return False
    try:
        check_gradient_method(recipe.training_arguments(), recipe.suite)
    except ValueError:
        return True
    return False


def _changed(path: str | Path, overrides: tuple[str, ...], changes: Changes) -> Recipe:
    # JSON is YAML, and leaves no word to be taken for a truth value.
    own = [f"{section_of(name)}.{name}={json.dumps(value)}" for name, value in changes.items()]
    return Recipe.from_file(path, (*overrides, *own))


def _differs(written: object, value: object) -> bool:
    """Whether a value is another one; YAML reads the word ``no`` as false."""
    return written != value and not (written is False and value == "no")


def _in_words(changes: Changes) -> tuple[str, ...]:
    return tuple(
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in changes.items()
    )
