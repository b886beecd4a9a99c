# SPDX-License-Identifier: Apache-2.0
"""``hf-mtl tasks``: all that a recipe can name, one line each."""

import json
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from hf_mtl.cli.errors import readable_errors
from hf_mtl.cli.options import AsJson, Debug

if TYPE_CHECKING:
    from hf_mtl._registry import Registry

__all__ = ["tasks"]


@readable_errors
def tasks(as_json: AsJson = False, debug: Debug = False) -> None:
    """List what a recipe can name: task types, heads, losses, metrics, samplers, weightings, ...

    With --json: {"task types": {name: what it is}, "heads": {...}, ...}.
    """
    del debug
    listed = {
        title: {name: _summary(registry.get(name)) for name in sorted(registry.names())}
        for title, registry in _registries().items()
    }
    if as_json:
        typer.echo(json.dumps(listed, indent=2))
        return
    console = Console()
    for title, entries in listed.items():
        console.print(Text(title.capitalize(), style="bold"))
        width = max(map(len, entries))
        for name, summary in entries.items():
            line = Text.assemble("  ", (name.ljust(width), "cyan"), "  ", summary)
            console.print(line, soft_wrap=True)
        console.print()


def _registries() -> "dict[str, Registry[Any]]":
    from hf_mtl.data import SAMPLERS
    from hf_mtl.evaluation import METRICS
    from hf_mtl.gradients import GRADIENT_METHODS
    from hf_mtl.models.heads import HEADS
    from hf_mtl.models.losses import LOSSES
    from hf_mtl.tasks import TASK_TYPES
    from hf_mtl.weighting import WEIGHTINGS

    return {
        "task types": TASK_TYPES,
        "heads": HEADS,
        "losses": LOSSES,
        "metrics": METRICS,
        "samplers": SAMPLERS,
        "loss weightings": WEIGHTINGS,
        "gradient methods": GRADIENT_METHODS,
    }


def _summary(cls: type) -> str:
    """First line of a class's own docstring, without its marks."""
    text = (cls.__dict__.get("__doc__") or "").strip()
    return text.split("\n")[0].replace("``", "") if text else ""
