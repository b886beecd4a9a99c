# SPDX-License-Identifier: Apache-2.0
"""The table of all weightings in docs/loss-weighting.md, from their classes.

`python tests/support/weighting_table.py` writes it; a test says when it is stale.
"""

from pathlib import Path

from docs_tables import (
    broken_laws,
    markdown_row,
    markdown_table,
    marks,
    package_classes,
    replaced,
    summary,
)

from hf_mtl.weighting import WEIGHTINGS, Weighting

DOCUMENT = Path(__file__).parents[2] / "docs" / "loss-weighting.md"
MARKED = marks("weightings")
HEADER = "| name | what it does | needs | remembers | laws it breaks | source |"
NEEDS = {
    "needs_losses": "losses of the step",
    "needs_losses_after": "losses after the step",
    "needs_evaluation": "evaluations",
}


def with_table(text: str) -> str:
    """The document with the table as it should be."""
    return replaced(text, MARKED, weighting_table())


def weighting_table() -> str:
    """A row for each weighting of the package, sorted by name."""
    rows = [table_row(name, cls) for name, cls in package_classes(WEIGHTINGS).items()]
    return markdown_table(HEADER, rows)


def table_row(name: str, cls: type[Weighting]) -> str:
    """One row: everything in it is declared by the class, or stands in its docstring."""
    sentence, link = summary(name, cls)
    cells = (
        f"`{name}`",
        sentence,
        ", ".join(word for flag, word in NEEDS.items() if getattr(cls, flag)),
        ", ".join(f"`{key}`" for key in WEIGHTINGS.build(name).init_state(1)),
        broken_laws(cls.breaks),
        link,
    )
    return markdown_row(cells)


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text("utf-8")), "utf-8")
