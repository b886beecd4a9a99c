# SPDX-License-Identifier: Apache-2.0
"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "Debug", "ModelFolder", "Overrides", "RecipeFile"]

RecipeFile = Annotated[
    Path,
    typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.", show_default=False),
]
ModelFolder = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="Folder of a trained model, or its name on the Hub.",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH=VALUE",
        help="Changes to the recipe, values in YAML: training.learning_rate=3e-5 "
        "tasks.topic.weight=0.5 mixture.tasks_per_step=all",
        show_default=False,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Write JSON to standard output, and nothing else there.")
]
Debug = Annotated[bool, typer.Option("--debug", help="On an error, show the whole traceback.")]
