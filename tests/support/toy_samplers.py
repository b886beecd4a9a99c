# SPDX-License-Identifier: Apache-2.0
"""Samplers in runs of a few steps on the toy sources: what each needs to do something there."""

from typing import Any

from hf_mtl.data import SAMPLERS, AdaptiveSampler

__all__ = ["ADAPTIVE", "FIELDS", "sampler_settings"]

ADAPTIVE = [name for name in SAMPLERS.names() if issubclass(SAMPLERS.get(name), AdaptiveSampler)]
"""Samplers that follow the run."""

_EACH = {"topic": 1, "valence": 2, "names": 3}

FIELDS: dict[str, dict[str, Any]] = {
    "fixed": {"probabilities": _EACH},
    "scheduled": {
        "points": [
            {"at": 0, "probabilities": _EACH},
            {"at": 1, "probabilities": {**_EACH, "topic": 9}},
        ]
    },
    "stages": {"stages": [["names"], ["valence", "topic"]]},
    "nested": {"groups": {"first": ["topic"], "others": ["valence", "names"]}},
    "learning_progress": {"window": 2},
    "stop_and_go": {"patience": 1, "cooldown": 0},
}
"""What a sampler has to be given, or needs in a short run."""


def sampler_settings(name: str, *, update_every: int = 4) -> dict[str, Any]:
    """Training arguments for a sampler whose rates, if they follow the run, move soon.

    Args:
        name: Its name in the registry.
        update_every: Steps of a segment.
    """
    entry = {"name": name, **FIELDS.get(name, {})}
    if name not in ADAPTIVE:
        return {"sampler": entry}
    evaluation = {"eval_strategy": "steps", "eval_steps": 2}
    needs_evaluation = SAMPLERS.get(name).needs_evaluation  # type: ignore[attr-defined]
    settings = {"sampler": {**entry, "update_every": update_every}}
    return settings | (evaluation if needs_evaluation else {})
