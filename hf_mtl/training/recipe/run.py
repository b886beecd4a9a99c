# SPDX-License-Identifier: Apache-2.0
"""A recipe, carried out: trained, evaluated, saved with its card."""

from pathlib import Path
from time import perf_counter

from hf_mtl.evaluation import ResultRow
from hf_mtl.hub import render_card
from hf_mtl.training.recipe.build import build_trainer
from hf_mtl.training.recipe.loading import RecipeData
from hf_mtl.training.recipe.recipe import Recipe
from hf_mtl.training.recipe.results import describe_run, results_of_training

__all__ = ["carry_out"]

CARD_FILE = "README.md"


def carry_out(
    recipe: Recipe,
    data: RecipeData,
    *,
    resume_from_checkpoint: str | bool = False,
    command: str | None = None,
) -> list[ResultRow]:
    """Trains, evaluates and saves the model, with ``results.json`` and the card, and gives results.

    In several processes all of them call this and get the results; the first one writes files.

    Args:
        recipe: The recipe.
        data: Its data.
        resume_from_checkpoint: A checkpoint's folder, or ``True`` for the last one in the output
            folder.
        command: The command that repeats the run, for the card.

    Raises:
        ValueError: If the output folder holds another run, or the checkpoint does not fit.
    """
    trainer = build_trainer(recipe, data)
    folder = Path(str(trainer.args.output_dir))
    start = perf_counter()
    trainer.train(resume_from_checkpoint=resume_from_checkpoint)
    trained = perf_counter()
    # Saved before it is evaluated: nothing that is trained is lost.
    trainer.save_model()
    trainer.save_state()
    rows = results_of_training(trainer, data)
    if not trainer.is_world_process_zero():
        return rows
    seconds = {"training": trained - start, "evaluation": perf_counter() - trained}
    run = describe_run(recipe, data, trainer.model, rows, seconds=seconds, command=command)
    run.save(folder)
    card = render_card(run, model_name=folder.resolve().name, model_path=str(folder))
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    return rows
