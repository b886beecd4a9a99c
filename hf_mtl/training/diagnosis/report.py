# SPDX-License-Identifier: Apache-2.0
"""The report of a diagnosis, as Markdown."""

from collections.abc import Mapping
from math import isfinite

from hf_mtl.training.diagnosis.advice import advice_on
from hf_mtl.training.diagnosis.measures import Diagnosis, Pair

__all__ = ["TITLE", "changes_for", "report"]

TITLE = "# How the gradients of the tasks compare"
"""First line of every report."""


def report(diagnosis: Diagnosis, *, recipe: str, pictures: Mapping[str, str]) -> str:
    """What was seen and what to try.

    Args:
        diagnosis: What was seen.
        recipe: The recipe, and how it was trained.
        pictures: File of each picture, by its title.
    """
    lines = [
        TITLE,
        "",
        f"{recipe}; {len(diagnosis.steps)} steps compared {diagnosis.compared}.",
        "",
        *([changes_for(diagnosis), ""] if diagnosis.changes else []),
        "## What to try",
        "",
        *(f"- {sentence}" for sentence in advice_on(diagnosis)),
        "",
        "## Pairs of tasks",
        "",
        "| task | task | steps | mean cosine | standard error | ± | below 0 |",
        "|---|---|---|---|---|---|---|",
        *(_row(pair) for pair in diagnosis.pairs),
        "",
        "± is what the mean may be off by: Student's distribution at 95% for all pairs together "
        "(Bonferroni), as if steps were independent. Of a pair with fewer than 5 steps nothing is "
        "said.",
        "",
        *_table_of_tasks(diagnosis),
    ]
    for title, name in pictures.items():
        lines += [f"## {title}", "", f"![{title}]({name})", ""]
    return "\n".join(lines)


def changes_for(diagnosis: Diagnosis) -> str:
    """A sentence on what was changed in the recipe.

    Args:
        diagnosis: What it was changed for.
    """
    changes = ", ".join(f"`{change}`" for change in diagnosis.changes)
    return f"For the diagnosis: {changes}. The rest is as in the recipe, and nothing was saved."


def _row(pair: Pair) -> str:
    error, margin = (
        f"{value:.3f}" if isfinite(value) else "-" for value in (pair.error, pair.margin)
    )
    return (
        f"| {pair.tasks[0]} | {pair.tasks[1]} | {pair.num_steps} | {pair.cosine:+.3f} | {error} | "
        f"{margin} | {pair.conflicts:.0%} |"
    )


def _table_of_tasks(diagnosis: Diagnosis) -> list[str]:
    norms, shares = diagnosis.mean_norms, diagnosis.median_shares
    return [
        "## Tasks",
        "",
        "| task | mean length of the gradient | median share of the update |",
        "|---|---|---|",
        *(
            f"| {task} | {norms[task]:.4g} | {f'{shares[task]:.0%}' if task in shares else '-'} |"
            for task in diagnosis.tasks
        ),
        "",
        "Shares are medians over steps, because a step whose gradients nearly cancel has shares of "
        "any size; so they need not add up to 100%.",
        "",
    ]
