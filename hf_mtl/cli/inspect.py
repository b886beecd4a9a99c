# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl inspect``: what a saved model is, without its weights."""

import json
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.options import AsJson, Debug, ModelFolder
from hf_mtl.cli.predict import check_model
from hf_mtl.cli.tables import model_view

if TYPE_CHECKING:
    from hf_mtl.models import MultiTaskModel

__all__ = ["inspect"]


@readable_errors
def inspect(model: ModelFolder, as_json: AsJson = False, debug: Debug = False) -> None:
    """Show the tasks of a saved model, their labels and heads, its backbone and its size.

    No weight is loaded. With --json: {"backbone": ..., "tasks": [...], "parameters": ..., ...}.
    """
    del debug
    check_model(model)
    import torch

    from hf_mtl.models import MultiTaskConfig, MultiTaskModel

    config = MultiTaskConfig.from_pretrained(model)
    with torch.device("meta"):
        found = _description(MultiTaskModel(config))
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        Console().print(model_view(found))


def _description(model: "MultiTaskModel") -> dict[str, Any]:
    from hf_mtl.models.parameters import num_parameters

    config = model.config
    return {
        "backbone": model.backbone.config.model_type,
        "parameters": num_parameters(model),
        "dtype": str(config.dtype or "float32").removeprefix("torch."),
        "transformers_version": config.transformers_version,
        "balancing": config.balancing,
        "tasks": [
            {
                "name": task,
                **spec.to_dict(),
                "head": spec.head_entry,
                "loss": spec.loss_entry,
                "metrics": list(spec.metric_entries),
                "head_parameters": num_parameters(model.heads[task]) if task in model.heads else 0,
            }
            for task, spec in model.suite.items()
        ],
    }
