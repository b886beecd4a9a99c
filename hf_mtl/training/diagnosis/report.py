# SPDX-License-Identifier: Apache-2.0
"""The report of a diagnosis, as Markdown."""

from collections.abc import Mapping

from hf_mtl.training.diagnosis.advice import advice_on
from hf_mtl.training.diagnosis.measures import Diagnosis

__all__ = ["report"]


def report(diagnosis: Diagnosis, *, recipe: str, pictures: Mapping[str, str]) -> str:
    """What was seen and what to try.

    Args:
        diagnosis: What was seen.
        recipe: The recipe, and how it was changed.
        pictures: File of each picture, by its title.
    """
    norms, shares = diagnosis.mean_norms, diagnosis.mean_shares
    lines = [
        "# How the gradients of the tasks compare",
        "",
        f"{recipe}; {len(diagnosis.steps)} steps compared gradients of the shared parameters.",
        "",
        "## What to try",
        "",
        *(f"- {sentence}" for sentence in advice_on(diagnosis)),
        "",
        "## Pairs of tasks",
        "",
        "| task | task | mean cosine | standard error | below 0 |",
        "|---|---|---|---|---|",
        *(
            f"| {pair.tasks[0]} | {pair.tasks[1]} | {pair.cosine:+.3f} | {pair.error:.3f} | "
            f"{pair.conflicts:.0%} |"
            for pair in diagnosis.pairs
        ),
        "",
        "## Tasks",
        "",
        "| task | mean length of the gradient | mean share of the update |",
        "|---|---|---|",
        *(
            f"| {task} | {norms[task]:.4g} | {f'{shares[task]:.0%}' if shares else '-'} |"
            for task in diagnosis.tasks
        ),
        "",
    ]
    for title, name in pictures.items():
        lines += [f"## {title}", "", f"![{title}]({name})", ""]
    return "\n".join(lines)
