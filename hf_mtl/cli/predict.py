# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl predict``: answers to new inputs."""

import json
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from hf_mtl.cli.answers import answers_view
from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.inputs import batches_of, given_inputs, raw_reader
from hf_mtl.cli.options import AsJson, Debug, ModelFolder

if TYPE_CHECKING:
    from hf_mtl.models import MultiTaskModel

__all__ = ["load_model", "predict"]

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
        'a text, a list of words, or {"text": ..., "text_pair": ...}.',
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

    With --json each input gives one line: {"input": ..., "answers": {task: answer}}.
    """
    del debug
    inputs = given_inputs(texts or [], file)
    batches = batches_of(inputs, batch_size)
    # Read before the model is loaded: a missing file is said at once.
    first_batch = next(batches, None)
    if first_batch is None:
        raise ValueError("There must be at least one input, but got only empty lines.")
    trained = load_model(model)
    read = raw_reader(trained.suite[name] for name in task or trained.suite)
    console = Console()
    for batch in chain([first_batch], batches):
        answers = trained.predict(
            [read(value) for value in batch], tasks=task or None, batch_size=batch_size
        )
        for value, answer in zip(batch, answers, strict=True):
            if as_json:
                line = {"input": value, "answers": answer}
                typer.echo(json.dumps(line, ensure_ascii=False))
            else:
                console.print(answers_view(value, answer), soft_wrap=True)


def load_model(name: str) -> "MultiTaskModel":
    """Trained model on the accelerator, if there is one.

    Args:
        name: Its folder, or its name on the Hub.

    Raises:
        OSError: If there is no such model, or its weights are damaged.
        ValueError: If it is a model of another kind.
    """
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
            f"`MODEL` must be the folder of a trained model or its name on the Hub, but {name!r} "
            f"cannot be loaded: {error}"
        ) from error
    model.to(PartialState().device)
    return model
