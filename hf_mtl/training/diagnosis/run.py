# SPDX-License-Identifier: Apache-2.0
"""A short training of a recipe in which the gradients of the tasks are compared in every step."""

import tempfile
from pathlib import Path

from hf_mtl.training.diagnosis.measures import Diagnosis
from hf_mtl.training.diagnosis.plots import draw
from hf_mtl.training.diagnosis.report import report
from hf_mtl.training.recipe import Recipe, build_trainer, load_data

__all__ = ["REPORT_FILE", "diagnose"]

REPORT_FILE = "report.md"


def diagnose(
    recipe: str | Path, folder: str | Path, *, steps: int = 200, overrides: tuple[str, ...] = ()
) -> Diagnosis:
    """Trains for some steps, and writes what was seen of the gradients.

    Nothing of the model is kept. The recipe's gradient method stays; without one it is ``mean``,
    which changes nothing. Where its steps draw one source, they draw all.

    Args:
        recipe: The file of the recipe.
        folder: Where the report and its pictures are written.
        steps: Optimizer steps.
        overrides: Changes to the recipe, each ``dotted.path=value``.

    Raises:
        ImportError: If matplotlib is not installed.
        RecipeError: If the recipe or its data is wrong.
        ValueError: If no step compared gradients.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as run_folder:
        read = _recipe_to_watch(recipe, overrides, steps, run_folder)
        trainer = build_trainer(read, load_data(read))
        trainer.gradient_log.most_pairs = None
        trainer.train()
    found = Diagnosis.of(trainer.state.log_history, list(trainer.suite))
    if trainer.is_world_process_zero():
        method = read.arguments["gradient_method"]
        about = f"Recipe {Path(recipe).name}, gradient method {method}"
        text = report(found, recipe=about, pictures=draw(found, folder))
        (folder / REPORT_FILE).write_text(text, encoding="utf-8")
    return found


def _recipe_to_watch(
    path: str | Path, overrides: tuple[str, ...], steps: int, run_folder: str
) -> Recipe:
    """The recipe, made to compare gradients in every step and to keep nothing."""
    given = Recipe.from_file(path, overrides)
    arguments = given.arguments
    changes = [
        f"training.output_dir={run_folder}",
        f"training.max_steps={steps}",
        "training.logging_steps=1",
        "training.logging_strategy=steps",
        "training.save_strategy='no'",
        "training.eval_strategy='no'",
        "training.load_best_model_at_end=false",
        "balancing.gradient_update_every=1",
    ]
    if "gradient_method" not in arguments:
        changes.append("balancing.gradient_method=mean")
    if arguments.get("tasks_per_step", 1) == 1:
        changes += ["mixture.tasks_per_step=all", "mixture.sampler=null"]
    return Recipe.from_file(path, (*overrides, *changes))
