# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl card``: the card and the numbers of a run, for publishing."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.options import AsJson, Debug

__all__ = ["card"]

RunFolder = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Output folder of a training run.", show_default=False),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FOLDER",
        help="Where README.md and results.json are written.",
        show_default=False,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(help="Name of the model in the card; otherwise that of the folder written to."),
]
ModelPath = Annotated[
    str | None,
    typer.Option("--model", help="Where users load the model from; otherwise the run's folder."),
]
License = Annotated[
    str | None, typer.Option("--license", help="Licence of the weights, such as apache-2.0.")
]


@readable_errors
def card(
    run: RunFolder,
    output: Output,
    name: Name = None,
    model_path: ModelPath = None,
    license_name: License = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Write the model card of a run, and its numbers, from its results.json.

    With --json: {"card": FILE, "results": FILE}.
    """
    del debug
    from hf_mtl.hub import RunResults, render_card

    results = RunResults.load(run)
    text = render_card(
        results,
        model_name=name or output.resolve().name,
        model_path=model_path or str(run),
        license_name=license_name,
    )
    output.mkdir(parents=True, exist_ok=True)
    numbers = results.save(output)
    readme = output / "README.md"
    readme.write_text(text, encoding="utf-8")
    written = {"card": str(readme), "results": str(numbers)}
    typer.echo(json.dumps(written) if as_json else f"Wrote {readme} and {numbers}.")
