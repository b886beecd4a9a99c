# SPDX-License-Identifier: Apache-2.0
"""Loss weightings in runs of a few steps: what each needs so that it does something there."""

from dataclasses import fields
from typing import Any

from hf_mtl.weighting import WEIGHTINGS

__all__ = ["weighting_settings"]

# Waiting times that suit epochs, in steps.
_SHORT = {"interval_steps": 2, "warmup_steps": 4}


def weighting_settings(name: str) -> dict[str, Any]:
    """Training arguments for a weighting whose state moves within the first steps.

    Args:
        name: Its name in the registry.
    """
    weighting = WEIGHTINGS.get(name)
    known = {field.name for field in fields(weighting)}  # type: ignore[arg-type]  # dataclasses
    entry = {"name": name, **{key: value for key, value in _SHORT.items() if key in known}}
    evaluation = {"eval_strategy": "steps", "eval_steps": 2}
    settings = {"weighting": entry, "tasks_per_step": "all"}
    return settings | (evaluation if weighting.needs_evaluation else {})
