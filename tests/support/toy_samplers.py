# SPDX-License-Identifier: Apache-2.0
"""Samplers in runs of a few steps on the toy sources: what each needs to do something there."""

from collections.abc import Sequence
from typing import Any

from hf_mtl.data import SAMPLERS, AdaptiveSampler

__all__ = ["ADAPTIVE", "SOURCES", "fields", "sampler_settings"]

ADAPTIVE = [name for name in SAMPLERS.names() if issubclass(SAMPLERS.get(name), AdaptiveSampler)]
"""Samplers that follow the run."""

SOURCES = ("topic", "valence", "names")
"""Sources of the toy suite."""


def fields(name: str, sources: Sequence[str] = SOURCES) -> dict[str, Any]:
    """What a sampler has to be given, or needs in a short run.

    Args:
        name: Its name in the registry.
        sources: At least two sources.
    """
    first, *others = sources
    each = {source: number for number, source in enumerate(sources, start=1)}
    by_sampler: dict[str, dict[str, Any]] = {
        "fixed": {"probabilities": each},
        "scheduled": {
            "points": [
                {"at": 0, "probabilities": each},
                {"at": 1, "probabilities": {**each, first: 9}},
            ]
        },
        "stages": {"stages": [others[-1:], [*others[:-1], first]]},
        "nested": {"groups": {"first": [first], "others": others}},
        "learning_progress": {"window": 2},
        "stop_and_go": {"patience": 1, "cooldown": 0},
    }
    return by_sampler.get(name, {})


def sampler_settings(
    name: str, sources: Sequence[str] = SOURCES, *, update_every: int = 4
) -> dict[str, Any]:
    """Training arguments for a sampler whose rates, if they follow the run, move soon.

    Args:
        name: Its name in the registry.
        sources: The sources of the run.
        update_every: Steps of a segment.
    """
    entry = {"name": name, **fields(name, sources)}
    if name not in ADAPTIVE:
        return {"sampler": entry}
    evaluation = {"eval_strategy": "steps", "eval_steps": 2}
    needs_evaluation = SAMPLERS.get(name).needs_evaluation  # type: ignore[attr-defined]
    settings = {"sampler": {**entry, "update_every": update_every}}
    return settings | (evaluation if needs_evaluation else {})
