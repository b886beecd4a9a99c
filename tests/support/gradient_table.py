# SPDX-License-Identifier: Apache-2.0
"""The table of all gradient methods in docs/gradient-methods.md, from their classes.

`python tests/support/gradient_table.py` writes it; a test says when it is stale.
"""

from dataclasses import fields
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

from hf_mtl.gradients import GRADIENT_METHODS, GradientMethod

DOCUMENT = Path(__file__).parents[2] / "docs" / "gradient-methods.md"
MARKED = marks("gradient methods")
HEADER = (
    "| name | what it does | fields | needs | remembers | cancels scale | never conflicts "
    "| preferences | laws it breaks | source |"
)


def with_table(text: str) -> str:
    """The document with the table as it should be."""
    return replaced(text, MARKED, gradient_table())


def gradient_table() -> str:
    """A row for each gradient method of the package, sorted by name."""
    rows = [
        table_row(name, GRADIENT_METHODS.build(name)) for name in package_classes(GRADIENT_METHODS)
    ]
    return markdown_table(HEADER, rows)


def table_row(name: str, method: GradientMethod) -> str:
    """One row: what it declares with its defaults, or stands in its docstring."""
    sentence, link = summary(name, type(method))
    remembered = [f"`{key}`" for key in method.init_state(1)]
    remembered += [f"`{key}` (of each element)" for key in method.memory]
    cells = (
        f"`{name}`",
        sentence,
        ", ".join(f"`{field.name}={getattr(method, field.name)!r}`" for field in fields(method)),
        needs(method),
        ", ".join(remembered),
        "yes" if method.cancels_scale else "",
        "yes" if method.never_conflicts else "",
        "in the method" if method.uses_preferences else "scale gradients",
        broken_laws(method.breaks),
        link,
    )
    return markdown_row(cells)


def needs(method: GradientMethod) -> str:
    """What of the gradients it is told."""
    if method.needs_whole_gradients:
        return "whole gradients"
    if method.num_batches > 1:
        return f"inner products, {method.num_batches} batches"
    return "inner products"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text("utf-8")), "utf-8")
