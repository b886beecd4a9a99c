# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl export``: tasks of a trained model as models that need no hf_mtl."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from hf_mtl._checks import check_known
from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.options import AsJson, Debug, ModelFolder
from hf_mtl.cli.predict import load_model

__all__ = ["export"]

Output = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="Where each task gets a folder of its name.", show_default=False
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option("--task", "-t", metavar="NAME", help="Task to export; all, if left out."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace folders that are there.")]


@readable_errors
def export(
    model: ModelFolder,
    folder: Output,
    task: Tasks = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Save tasks as genuine single-task models of transformers, with equal logits.

    Each is in FOLDER/TASK with its tokenizer, for `AutoModelFor...` and the standard pipelines.
    With --json: {"exported": {task: {"folder": ..., "class": ...}}}.
    """
    del debug
    places = {name: folder / name for name in task or ()}
    _check_free(places.values(), is_overwriting=overwrite)
    trained = load_model(model)
    for name in task or ():
        check_known("task", name, trained.suite)
    places = places or {name: folder / name for name in trained.suite}
    _check_free(places.values(), is_overwriting=overwrite)
    # All are made before any is saved: a head that cannot be exported leaves nothing half done.
    singles = {name: trained.to_single_task(name) for name in places}
    exported = {}
    for name, single in singles.items():
        single.save_pretrained(places[name])
        if trained.processing_class is not None:
            trained.processing_class.save_pretrained(places[name])
        exported[name] = {"folder": str(places[name]), "class": type(single).__name__}
    if as_json:
        typer.echo(json.dumps({"exported": exported}, indent=2))
        return
    for name, found in exported.items():
        typer.echo(f"{name}: {found['class']} in {found['folder']}")


def _check_free(places: Iterable[Path], *, is_overwriting: bool) -> None:
    places = list(places)
    if files := [str(place) for place in places if place.exists() and not place.is_dir()]:
        raise ValueError(f"FOLDER must have folders only by the names of tasks, but got {files}.")
    taken = [str(place) for place in places if place.exists()]
    if taken and not is_overwriting:
        raise ValueError(
            f"FOLDER must have no folder of these tasks yet, but there are {taken}. Replace them "
            f"with --overwrite, or choose another FOLDER."
        )
