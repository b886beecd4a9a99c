# SPDX-License-Identifier: Apache-2.0
"""Pictures of how gradients compare over a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hf_mtl._optional import require
from hf_mtl.training.diagnosis.measures import Diagnosis

__all__ = ["PICTURE_FILES", "draw", "require_plots"]

PICTURE_FILES = ("cosines.png", "norms.png", "shares.png")
"""Every file that may be drawn."""

_MOST_COLUMNS = 50
# Cosines below are noise, and are to look so.
_LEAST_SCALE = 0.2
# A step whose gradients nearly cancel has shares of any size, beside which others would be flat.
_SHARES_SHOWN = (-1.0, 2.0)


def require_plots() -> Any:
    """What draws.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    return require("matplotlib.figure", extra="plots")


def draw(diagnosis: Diagnosis, folder: Path) -> dict[str, str]:
    """Draws the pictures into a folder; of shares only if the direction has some.

    Args:
        diagnosis: What to draw.
        folder: Where files are written.

    Returns:
        Name of the file of each picture, by its title.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    pictures: dict[str, tuple[str, Callable[[Any, Diagnosis], None]]] = {
        "Cosines over time": (PICTURE_FILES[0], _cosines),
        "Lengths of gradients": (PICTURE_FILES[1], _norms),
    }
    if diagnosis.median_shares:
        pictures["Share of the update"] = (PICTURE_FILES[2], _shares)
    figures = require_plots()
    for title, (name, fill) in pictures.items():
        height = 3.5 if fill is not _cosines else 1.5 + 0.3 * len(diagnosis.cosines)
        figure = figures.Figure(figsize=(8, height), layout="constrained")
        axes = figure.add_subplot()
        fill(axes, diagnosis)
        axes.set_title(title)
        axes.set_xlabel("step")
        figure.savefig(folder / name, dpi=120)
    return {title: name for title, (name, _) in pictures.items()}


def _cosines(axes: Any, diagnosis: Diagnosis) -> None:
    """A row for each pair, a column for some steps; red is conflict, blue agreement."""
    steps = diagnosis.steps
    columns = np.array_split(np.array(steps), min(len(steps), _MOST_COLUMNS))
    pairs = [pair.tasks for pair in diagnosis.pairs]
    table = np.array(
        [[_mean_of(diagnosis.cosines[pair], column) for column in columns] for pair in pairs]
    )
    extent = (steps[0] - 0.5, steps[-1] + 0.5, len(pairs) - 0.5, -0.5)
    # Unlike tasks stay near 0, where a scale to 1 would show nothing.
    most = max(_LEAST_SCALE, float(np.nanmax(np.abs(table))))
    image = axes.imshow(table, cmap="RdBu", vmin=-most, vmax=most, aspect="auto", extent=extent)
    axes.set_yticks(range(len(pairs)), [f"{first}, {second}" for first, second in pairs])
    axes.figure.colorbar(image, ax=axes, label="cosine")


def _norms(axes: Any, diagnosis: Diagnosis) -> None:
    for task, series in diagnosis.norms.items():
        axes.plot(list(series), list(series.values()), label=task, linewidth=1)
    axes.set_yscale("log")
    axes.legend(fontsize="small")


def _shares(axes: Any, diagnosis: Diagnosis) -> None:
    for task, series in diagnosis.shares.items():
        axes.plot(list(series), list(series.values()), label=task, linewidth=1)
    axes.axhline(0, color="black", linewidth=0.5)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, _SHARES_SHOWN[0]), min(high, _SHARES_SHOWN[1]))
    axes.legend(fontsize="small")


def _mean_of(series: Any, steps: Any) -> float:
    values = [series[step] for step in steps.tolist() if step in series]
    return float(np.mean(values)) if values else float("nan")
