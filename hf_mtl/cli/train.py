# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl train``: a recipe, carried out."""

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.json_output import progress_aside
from hf_mtl.cli.options import AsJson, Debug, Overrides, RecipeFile
from hf_mtl.cli.prepare import PreparedFolder
from hf_mtl.cli.ranks import COMMAND_VARIABLE, be_quiet, rank, ranks_here
from hf_mtl.cli.tables import plan_view, results_table

if TYPE_CHECKING:
    from hf_mtl.training.plan import Plan
    from hf_mtl.training.recipe import Recipe

__all__ = ["train"]

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Check everything and print the plan; load no weight."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint in the output folder.")
]
# An option of its own: a value after --resume could not be told from an override.
ResumeFrom = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Go on from this checkpoint.", show_default=False),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a run that is in the output folder.")
]


@readable_errors
def train(
    recipe: RecipeFile,
    overrides: Overrides = None,
    dry_run: DryRun = False,
    resume: Resume = False,
    resume_from: ResumeFrom = None,
    overwrite: Overwrite = False,
    prepared: PreparedFolder = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train the tasks of a recipe together, evaluate them, and save the model with its card.

    All that is wrong with the recipe or its data is reported at once, before training starts.
    The output folder gets the model, its tokenizer, results.json and README.md. In several
    processes, which `hf-mtl launch` starts, the first one speaks for all.
    """
    del debug
    checkpoint = str(resume_from) if resume_from is not None else resume
    if overwrite and checkpoint:
        raise ValueError("Either --overwrite or --resume must be given, not both.")
    if resume_from is not None and not resume_from.is_dir():
        raise FileNotFoundError(
            f"There is no checkpoint {str(resume_from)!r} to go on from. Leave --resume-from out "
            f"to start."
        )
    changes = [*(overrides or []), *(["training.overwrite_output_dir=true"] if overwrite else [])]
    # For the card, which may be published.
    shown = [override for override in overrides or [] if "token" not in override.split("=")[0]]
    started_by = os.environ.get(COMMAND_VARIABLE, "hf-mtl train")
    command = f"{started_by} {shlex.join([str(recipe), *shown])}"
    if rank() > 0:
        be_quiet()
        changes.append("training.log_level_replica=error")
    with progress_aside(as_json):
        result = _train(recipe, changes, checkpoint, command, dry_run=dry_run, prepared=prepared)
    if as_json and rank() == 0:
        typer.echo(result)


def _train(
    path: Path,
    overrides: Sequence[str],
    checkpoint: str | bool,
    command: str,
    *,
    dry_run: bool,
    prepared: Path | None,
) -> str:
    """Carries out a recipe, and returns what it gave, or with ``dry_run`` its plan, as JSON."""
    from hf_mtl.training.recipe import Recipe, build_plan, carry_out, load_data_in_turn, plain_rows
    from hf_mtl.training.recipe.prepared import load_prepared_data

    console = Console(quiet=rank() > 0)
    recipe = _with_output_checked(Recipe.from_file(path, overrides), is_resuming=bool(checkpoint))
    if checkpoint is True:
        _check_last_checkpoint(recipe)
    data = load_prepared_data(recipe, prepared) if prepared else load_data_in_turn(recipe)
    plan = build_plan(recipe, data)
    console.print(plan_view(plan))
    if warning := _memory_warning(recipe, plan):
        console.print(Text(f"\nWarning: {warning}", style="yellow"), soft_wrap=True)
    if dry_run:
        console.print("\nThe recipe and its data are right. No weight was loaded.")
        return json.dumps(plan.to_dict(), indent=2)
    rows = carry_out(recipe, data, resume_from_checkpoint=checkpoint, command=command)
    folder = recipe.arguments["output_dir"]
    if rows:
        console.print(results_table(rows))
    console.print(f"\nThe model, its results and its card are in {folder}.", markup=False)
    return json.dumps({"output_dir": folder, "results": plain_rows(rows)}, indent=2)


def _memory_warning(recipe: "Recipe", plan: "Plan") -> str | None:
    from hf_mtl.training.memory import free_memory, memory_warning

    return memory_warning(
        plan.memory, free_memory(recipe.training_arguments().device, ranks_here())
    )


def _check_last_checkpoint(recipe: "Recipe") -> None:
    """Raises unless the output folder has a checkpoint."""
    from transformers.trainer_utils import get_last_checkpoint

    folder = recipe.arguments.get("output_dir")
    if folder is None:
        return  # a fault of the recipe already
    if not Path(folder).is_dir() or get_last_checkpoint(folder) is None:
        raise FileNotFoundError(
            f"There is no checkpoint in {folder!r} to go on from. Leave --resume out to start."
        )


def _with_output_checked(recipe: "Recipe", *, is_resuming: bool) -> "Recipe":
    """The recipe, with a fault if its output folder holds another run that must stay."""
    from hf_mtl.training.checkpoints import check_output_folder

    folder = recipe.arguments.get("output_dir")
    if folder is None or is_resuming or recipe.arguments.get("overwrite_output_dir"):
        return recipe
    try:
        check_output_folder(folder, is_overwriting=False)
    except ValueError:
        return recipe.with_fault(
            "training.output_dir",
            f"`output_dir` must not hold another run, but {folder!r} has one. Go on with that run "
            f"(--resume), replace it (--overwrite), or choose another folder.",
        )
    return recipe
