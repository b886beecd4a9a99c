# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl baselines``: what the tasks of a recipe gain by being learned together."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.json_output import progress_aside
from hf_mtl.cli.options import AsJson, Debug, Overrides, RecipeFile
from hf_mtl.cli.tables import baselines_table

__all__ = ["baselines"]

Seeds = Annotated[
    int, typer.Option(min=1, help="Seeds: the recipe's own, and those that follow it.")
]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Where finished runs are kept; otherwise `baselines` in the output folder.",
        show_default=False,
    ),
]


@readable_errors
def baselines(
    recipe: RecipeFile,
    overrides: Overrides = None,
    seeds: Seeds = 3,
    cache: Cache = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train each task alone and all together, and say which tasks gain and which lose by it.

    A task alone has the recipe's backbone, rows and settings, and as many steps as it is drawn
    among the others. No model is kept. Finished runs are: the command goes on where it was
    interrupted, and trains nothing that it has trained before. With --json: {"tasks": [{"task":
    ..., "alone": {...}, "together": {...}, "gain": {...}, "verdict": ...}], "delta_m": ...,
    "hurt": [...], "baseline_scores": {...}, ...}.
    """
    del debug
    from hf_mtl.training.baselines import measure_baselines
    from hf_mtl.training.baselines.report import sentences

    console = Console()
    with progress_aside(as_json):
        found = measure_baselines(
            recipe,
            num_seeds=seeds,
            overrides=overrides or (),
            cache=cache,
            tell=lambda text: console.print(Text(text)),
        )
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    console.print(baselines_table(found))
    for sentence in sentences(found):
        # Soft-wrapped: what is to be copied into a recipe stays on one line.
        console.print(Text(f"- {sentence}"), soft_wrap=True)
