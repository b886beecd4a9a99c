# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl evaluate``: a trained model on the data of a recipe."""

import json
from typing import Annotated

import typer
from rich.console import Console

from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.options import AsJson, Debug, ModelFolder, Overrides, RecipeFile
from hf_mtl.cli.predict import check_model, load_model
from hf_mtl.cli.tables import results_table

__all__ = ["evaluate"]

BatchSize = Annotated[
    int, typer.Option(min=1, help="Rows of one forward pass, for tasks that say nothing else.")
]


@readable_errors
def evaluate(
    model: ModelFolder,
    recipe: RecipeFile,
    overrides: Overrides = None,
    batch_size: BatchSize = 32,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure a trained model on the test rows of a recipe, task by task.

    The recipe says where rows lie and which tasks are measured; labels are the model's.
    With --json: {"results": [{"task": ..., "metric": ..., "value": ..., "baseline": ...}]}.
    """
    del debug
    check_model(model)
    from hf_mtl.data import check_lengths, max_positions
    from hf_mtl.training.recipe import (
        Recipe,
        load_data,
        plain_rows,
        results_of_model,
        settled_suite,
    )

    read = Recipe.from_file(recipe, overrides or ())
    read.raise_faults()
    trained = load_model(model)
    suite = settled_suite(read, trained.suite)
    data = load_data(read, suite=suite, processing_class=trained.processing_class)
    if data.test is not None:
        check_lengths(data.test, max_positions(trained.backbone))
    rows = results_of_model(trained, data, batch_size)
    if not rows:
        raise ValueError(f"{recipe} must name rows to evaluate on, but says `eval_split: none`.")
    if as_json:
        typer.echo(json.dumps({"results": plain_rows(rows)}, indent=2))
    else:
        Console().print(results_table(rows))
