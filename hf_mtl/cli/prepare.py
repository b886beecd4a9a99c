# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl prepare``: the data of a recipe, encoded once and kept in a folder."""

from pathlib import Path
from typing import Annotated

import typer

from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.options import Debug, Overrides, RecipeFile

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
    debug: Debug = False,
) -> None:
    """Check and encode the data of a recipe once, for runs that start at once.

    Rows that the folder holds from before are replaced. `hf-mtl train RECIPE --prepared FOLDER`
    takes them as they are; prepare again where data files, label names or the tokenizer change.
    """
    del debug
    from hf_mtl.training.recipe import Recipe, load_data
    from hf_mtl.training.recipe.prepared import save_prepared_data

    read = Recipe.from_file(recipe, overrides or ())
    data = load_data(read)
    save_prepared_data(read, data, folder)
    num_rows = sum(len(rows) for rows in (data.train, data.test) if rows is not None)
    typer.echo(
        f"Prepared {num_rows} rows of {len(data.train.sources)} sources in {folder}. Train with "
        f"`hf-mtl train {recipe} --prepared {folder}`."
    )
