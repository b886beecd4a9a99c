# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl predict``: answers to new inputs."""

import json
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from hf_mtl.cli.answers import answers_view, empty_line_view
from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.inputs import EMPTY_LINE, batches_of, given_inputs, raw_reader
from hf_mtl.cli.options import AsJson, Debug, ModelFolder

if TYPE_CHECKING:
    from hf_mtl.models import MultiTaskModel

__all__ = ["check_model", "load_model", "predict"]

_MODEL_RULE = "`MODEL` must be the folder of a model that `hf-mtl train` has saved"

Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT",
        help="Inputs: texts, or picture files for a model of pictures.",
        show_default=False,
    ),
]
InputFile = Annotated[
    str | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="File with an input on each line; '-' is standard input. A line of a .jsonl file is "
        'a text, a list of words, or {"text": ..., "text_pair": ...}. Standard input is read '
        "like a .jsonl file if each of its lines starts with '{'.",
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option("--task", "-t", metavar="NAME", help="Task to answer; may be given repeatedly."),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Inputs of one forward pass.")]


@readable_errors
def predict(
    model: ModelFolder,
    texts: Texts = None,
    file: InputFile = None,
    task: Tasks = None,
    batch_size: BatchSize = 32,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Answer new inputs with a trained model: all tasks in one pass, or those of --task.

    With --json each input gives one line: {"input": ..., "answers": {task: answer}}; an empty
    line gives {"input": "", "error": "empty line"}.
    """
    del debug
    inputs = given_inputs(texts or [], file)
    # Read before the model is loaded: a missing file is said at once.
    start: list[Any] = []
    for value in inputs:
        start.append(value)
        if value is not EMPTY_LINE:
            break
    else:
        raise ValueError("There must be at least one input, but got only empty lines.")
    trained = load_model(model)
    read = raw_reader(trained.suite[name] for name in task or trained.suite)
    console = Console()
    for batch in batches_of(chain(start, inputs), batch_size):
        given = [read(value) for value in batch if value is not EMPTY_LINE]
        answers = iter(
            trained.predict(given, tasks=task or None, batch_size=batch_size) if given else []
        )
        for value in batch:
            if value is EMPTY_LINE:
                line, view = {"input": "", "error": "empty line"}, empty_line_view()
            else:
                answer = next(answers)
                line, view = {"input": value, "answers": answer}, answers_view(value, answer)
            if as_json:
                typer.echo(json.dumps(line, ensure_ascii=False))
            else:
                console.print(view, soft_wrap=True)


def check_model(name: str) -> None:
    """Raises where a name can be no trained model; a name on the Hub is not looked up.

    Args:
        name: Folder of a trained model, or its name on the Hub.

    Raises:
        FileNotFoundError: If there is no configuration in the folder.
    """
    if (Path(name) / "config.json").is_file():
        return
    owner, *rest = name.split("/")
    is_name = len(rest) == 1 and bool(rest[0]) and owner not in ("", ".", "..", "~")
    if Path(name).exists() or not is_name or Path(owner).is_dir():
        raise FileNotFoundError(f"{_MODEL_RULE}, but there is no config.json in {name!r}.")


def load_model(name: str) -> "MultiTaskModel":
    """Trained model on the accelerator, if there is one.

    Args:
        name: Its folder, or its name on the Hub.

    Raises:
        OSError: If there is no such model, or its weights are damaged.
        ValueError: If it is a model of another kind.
    """
    check_model(name)
    from accelerate import PartialState
    from transformers.utils import logging

    from hf_mtl.models import MultiTaskModel

    logging.disable_progress_bar()
    try:
        model: MultiTaskModel = MultiTaskModel.from_pretrained(name)
    except OSError as error:
        if Path(name).is_dir():
            raise
        raise OSError(
            f"{_MODEL_RULE}, but there is no config.json in {name!r}, and it is no name on the "
            f"Hub that could be reached: {error}"
        ) from error
    model.to(PartialState().device)
    return model
