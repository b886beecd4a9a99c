# SPDX-License-Identifier: Apache-2.0
"""The table of all weightings in docs/loss-weighting.md, from their classes.

`python tests/support/weighting_table.py` writes it; a test says when it is stale.
"""

import inspect
import re
from pathlib import Path

from hf_mtl.weighting import WEIGHTINGS, Weighting

DOCUMENT = Path(__file__).parents[2] / "docs" / "loss-weighting.md"
MARKED = re.compile(r"(<!-- weightings: [^\n]*-->\n\n).*?(\n<!-- end -->)", re.DOTALL)
HEADER = "| name | what it does | needs | remembers | laws it breaks | source |"
NEEDS = {
    "needs_losses": "losses of the step",
    "needs_losses_after": "losses after the step",
    "needs_evaluation": "evaluations",
}


def with_table(text: str) -> str:
    """The document with the table as it should be."""
    return MARKED.sub(lambda found: found[1] + weighting_table() + found[2], text)


def weighting_table() -> str:
    """A row for each weighting of the package, sorted by name; those of users are left out."""
    classes = {name: WEIGHTINGS.get(name) for name in sorted(WEIGHTINGS.names())}
    rows = [
        table_row(name, cls)
        for name, cls in classes.items()
        if cls.__module__.startswith("hf_mtl.")
    ]
    return "\n".join([HEADER, re.sub(r"[^|]+", "---", HEADER), *rows, ""])


def table_row(name: str, cls: type[Weighting]) -> str:
    """One row: everything in it is declared by the class, or stands in its docstring."""
    text = inspect.getdoc(cls) or ""
    _, has_source, source = text.partition("Source:")
    if not has_source:
        raise ValueError(f"The docstring of {name!r} must have a `Source`, but got {text!r}.")
    link = re.search(r"https://[^\s,;:)]+", source)
    cells = (
        f"`{name}`",
        text.splitlines()[0].replace("``", "`"),
        ", ".join(word for flag, word in NEEDS.items() if getattr(cls, flag)),
        ", ".join(f"`{key}`" for key in WEIGHTINGS.build(name).init_state(1)),
        "; ".join(f"{law.replace('_', ' ')}: {why.rstrip('.')}" for law, why in cls.breaks.items()),
        f"[link]({link[0].rstrip('.')})" if link else "",
    )
    return "| " + " | ".join(cell or "-" for cell in cells) + " |"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text("utf-8")), "utf-8")
