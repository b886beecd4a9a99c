# SPDX-License-Identifier: Apache-2.0
"""The command ``hf-mtl``: its commands put together."""

from typing import Annotated

import typer

import hf_mtl
from hf_mtl.cli.baselines import baselines
from hf_mtl.cli.card import card
from hf_mtl.cli.diagnose import diagnose
from hf_mtl.cli.evaluate import evaluate
from hf_mtl.cli.export import export
from hf_mtl.cli.inspect import inspect
from hf_mtl.cli.launch import LAUNCH_SETTINGS, launch
from hf_mtl.cli.predict import predict
from hf_mtl.cli.prepare import prepare
from hf_mtl.cli.tasks import tasks
from hf_mtl.cli.train import train

__all__ = ["app", "main"]

app = typer.Typer(
    name="hf-mtl",
    help="Train one pretrained backbone on many tasks at once, and use it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(hf_mtl.__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
) -> None:
    """Train one pretrained backbone on many tasks at once, and use it."""
    del version


for _command in (
    train,
    evaluate,
    predict,
    card,
    prepare,
    diagnose,
    baselines,
    inspect,
    tasks,
    export,
):
    app.command()(_command)
app.command(context_settings=LAUNCH_SETTINGS)(launch)


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
