# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl diagnose``: how the gradients of a recipe's tasks compare."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.json_output import progress_aside
from hf_mtl.cli.options import AsJson, Debug, Overrides, RecipeFile
from hf_mtl.cli.ranks import be_quiet, rank

__all__ = ["diagnose"]

Steps = Annotated[int, typer.Option(min=2, help="Optimizer steps to train for.")]
Output = Annotated[
    Path, typer.Option("--output", metavar="FOLDER", help="Where the report is written.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an earlier diagnosis in the folder.")
]


@readable_errors
def diagnose(
    recipe: RecipeFile,
    overrides: Overrides = None,
    steps: Steps = 200,
    output: Output = Path("diagnosis"),
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train for a while, compare the gradients of the tasks, and say what to try.

    The folder gets report.md with its pictures: cosines between tasks over time, lengths of
    gradients, the share of each task in the update. No model is saved. What has to be changed in
    the recipe for it, such as one source a step, is said. With --json: {"report": FILE,
    "compared": ..., "changes": [...], "advice": [...]}.
    """
    del debug
    from hf_mtl.training.diagnosis import diagnose as carry_out
    from hf_mtl.training.diagnosis.advice import advice_on
    from hf_mtl.training.diagnosis.report import changes_for

    changes = list(overrides or [])
    if rank() > 0:
        be_quiet()
        changes.append("training.log_level_replica=error")
    with progress_aside(as_json):
        found = carry_out(
            recipe, output, steps=steps, overrides=tuple(changes), overwrite=overwrite
        )
    if as_json:
        if rank() == 0:
            said = {
                "report": str(output / "report.md"),
                "compared": found.compared,
                "changes": list(found.changes),
                "advice": list(advice_on(found)),
            }
            typer.echo(json.dumps(said, indent=2))
        return
    console = Console(quiet=rank() > 0)
    console.print(Text(changes_for(found)))
    for sentence in advice_on(found):
        console.print(Text(f"- {sentence}"))
    console.print(f"\nThe report is {output / 'report.md'}.", markup=False)
