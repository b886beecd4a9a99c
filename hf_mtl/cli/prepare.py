# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl prepare``: the data of a recipe, encoded once and kept in a folder."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.json_output import progress_aside
from hf_mtl.cli.options import AsJson, Debug, Overrides, RecipeFile

__all__ = ["PreparedFolder", "prepare"]

Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="Where the rows are written.", show_default=False),
]
PreparedFolder = Annotated[
    Path | None,
    typer.Option(
        "--prepared",
        metavar="FOLDER",
        help="Take the rows from where `hf-mtl prepare` wrote them.",
        show_default=False,
    ),
]


@readable_errors
def prepare(
    recipe: RecipeFile,
    folder: Folder,
    overrides: Overrides = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check and encode the data of a recipe once, for runs that start at once.

    Rows that the folder holds from before are replaced. `hf-mtl train RECIPE --prepared FOLDER`
    takes them as they are; prepare again where data files, label names or the tokenizer change.
    With --json: {"folder": ..., "rows": ..., "sources": [...]}.
    """
    del debug
    from hf_mtl.training.recipe import Recipe, load_data
    from hf_mtl.training.recipe.prepared import save_prepared_data

    read = Recipe.from_file(recipe, overrides or ())
    with progress_aside(as_json):
        data = load_data(read)
        save_prepared_data(read, data, folder)
    num_rows = sum(len(rows) for rows in (data.train, data.test) if rows is not None)
    if as_json:
        found = {"folder": str(folder), "rows": num_rows, "sources": list(data.train.sources)}
        typer.echo(json.dumps(found))
        return
    typer.echo(
        f"Prepared {num_rows} rows of {len(data.train.sources)} sources in {folder}. Train with "
        f"`hf-mtl train {recipe} --prepared {folder}`."
    )
