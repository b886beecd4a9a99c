# SPDX-License-Identifier: Apache-2.0
"""A short training of a recipe in which the gradients of the tasks are compared in every step."""

import tempfile
from dataclasses import replace
from pathlib import Path

from hf_mtl.training.diagnosis.changes import recipe_to_watch, with_weighting_that_is_heard
from hf_mtl.training.diagnosis.folder import REPORT_FILE, check_folder, clear_folder
from hf_mtl.training.diagnosis.measures import Diagnosis
from hf_mtl.training.diagnosis.plots import draw, require_plots
from hf_mtl.training.diagnosis.report import report
from hf_mtl.training.engines import ENGINES
from hf_mtl.training.recipe import Recipe, build_trainer, load_data

__all__ = ["diagnose"]


def diagnose(
    recipe: str | Path,
    folder: str | Path,
    *,
    steps: int = 200,
    overrides: tuple[str, ...] = (),
    overwrite: bool = False,
) -> Diagnosis:
    """Trains for some steps, and writes what was seen of the gradients.

    Nothing of the model is kept. The recipe's gradient method stays, with its draws; without one it
    is ``mean``, which changes nothing, and steps that draw one source draw all. What else stands in
    the way is changed too; the diagnosis says what (``changes``).

    Args:
        recipe: The file of the recipe.
        folder: Where the report and its pictures are written.
        steps: Optimizer steps.
        overrides: Changes to the recipe, each ``dotted.path=value``.
        overwrite: Whether an earlier diagnosis in the folder may be replaced.

    Raises:
        ImportError: If matplotlib is not installed.
        RecipeError: If the recipe or its data is wrong.
        ValueError: If the folder has something else in it, or no step compared gradients.
    """
    # Before the training, and on every rank: a rank that fails alone leaves the others waiting.
    require_plots()
    folder = Path(folder)
    check_folder(folder, is_overwriting=overwrite)
    with tempfile.TemporaryDirectory() as run_folder:
        read, changes = recipe_to_watch(recipe, overrides, steps=steps, run_folder=run_folder)
        data = load_data(read)
        read, changes_by_data = with_weighting_that_is_heard(read, data)
        trainer = build_trainer(read, data)
        trainer.gradient_log.most_pairs = None
        trainer.train()
    found = replace(
        Diagnosis.of(trainer.state.log_history, list(trainer.suite)),
        compared=_compared(read),
        changes=(*changes, *changes_by_data),
    )
    if trainer.is_world_process_zero():
        _write(found, folder, read)
    return found


def _compared(recipe: Recipe) -> str:
    """What the run compared, in words."""
    engine = recipe.arguments.get("gradient_engine")
    # An engine for tasks on the same rows compares before the backward enters the backbone.
    if engine is not None and ENGINES[engine].needs_same_rows:
        return (
            "gradients at the output of the backbone, which stand in for those of the shared "
            "parameters"
        )
    scope = recipe.arguments.get("gradient_scope")
    within = "" if scope is None else f" (`gradient_scope`: {scope!r})"
    return f"gradients of the shared parameters{within}"


def _write(found: Diagnosis, folder: Path, recipe: Recipe) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    clear_folder(folder)
    about = f"Recipe {Path(recipe.origin).name}, gradient method "
    about += str(recipe.arguments["gradient_method"])
    text = report(found, recipe=about, pictures=draw(found, folder))
    (folder / REPORT_FILE).write_text(text, encoding="utf-8")
