# SPDX-License-Identifier: Apache-2.0
"""What the tables of methods in the documentation have in common: rows from classes, and marks."""

import inspect
import re
from collections.abc import Mapping, Sequence

from hf_mtl._registry import Registry

__all__ = [
    "broken_laws",
    "markdown_row",
    "markdown_table",
    "marks",
    "package_classes",
    "replaced",
    "summary",
]


def marks(kind: str) -> re.Pattern[str]:
    """Pattern of the two comments in a document between which a table stands."""
    return re.compile(rf"(<!-- {kind}: [^\n]*-->\n\n).*?(\n<!-- end -->)", re.DOTALL)


def replaced(text: str, marked: re.Pattern[str], table: str) -> str:
    """The document with the table as it should be."""
    return marked.sub(lambda found: found[1] + table + found[2], text)


def package_classes(registry: Registry) -> dict[str, type]:
    """Classes of the package by name, sorted; those of users are left out."""
    classes = {name: registry.get(name) for name in sorted(registry.names())}
    return {name: cls for name, cls in classes.items() if cls.__module__.startswith("hf_mtl.")}


def markdown_table(header: str, rows: Sequence[str]) -> str:
    """A table with that header line."""
    return "\n".join([header, re.sub(r"[^|]+", "---", header), *rows, ""])


def summary(name: str, cls: type) -> tuple[str, str]:
    """First line of a class's docstring, and a link to its source.

    Raises:
        ValueError: If it names no source.
    """
    text = inspect.getdoc(cls) or ""
    _, has_source, source = text.partition("Source:")
    if not has_source:
        raise ValueError(f"The docstring of {name!r} must have a `Source`, but got {text!r}.")
    link = re.search(r"https://[^\s,;:)]+", source)
    return (
        text.splitlines()[0].replace("``", "`"),
        f"[link]({link[0].rstrip('.')})" if link else "",
    )


def broken_laws(breaks: Mapping[str, str]) -> str:
    """Laws in words, each with the reason."""
    return "; ".join(f"{law.replace('_', ' ')}: {why.rstrip('.')}" for law, why in breaks.items())


def markdown_row(cells: Sequence[str]) -> str:
    """A row; cells without text get a dash."""
    return "| " + " | ".join(cell or "-" for cell in cells) + " |"
