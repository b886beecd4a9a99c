# SPDX-License-Identifier: Apache-2.0
"""What a comparison of tasks alone and together says, in sentences."""

import json

from hf_mtl.evaluation.gains import TaskGain
from hf_mtl.training.baselines.comparison import Baselines

__all__ = ["sentences"]


def sentences(found: Baselines) -> list[str]:
    """What was compared, and what came of it.

    Args:
        found: The comparison.
    """
    return [
        *_on_budget(found),
        *_on_delta_m(found),
        *_on_negative_transfer(found),
        *_on_scores(found),
    ]


def _on_budget(found: Baselines) -> list[str]:
    steps = ", ".join(f"{task} {count:,}" for task, count in found.steps.items())
    differs = f"; {', '.join(found.differs)}" if found.differs else ""
    return [
        f"Steps: {found.steps_together:,} together; alone {steps}.",
        f"A task alone has the backbone, rows and settings of the recipe, with one draw of its "
        f"source a step{differs}.",
    ]


def _on_delta_m(found: Baselines) -> list[str]:
    if found.delta_m is None:
        return ["Delta_m is not defined: a score is not, or one of a task alone is 0."]
    margin = found.delta_m.margin
    spread = "" if margin is None else f" ± {margin:.2%}"
    return [f"Delta_m, the mean relative gain over the tasks: {found.delta_m.mean:+.2%}{spread}."]


def _on_negative_transfer(found: Baselines) -> list[str]:
    if len(found.seeds) < 2:
        return [
            "With one seed there is no spread, so nothing is said of what is noise. Take three "
            "seeds or more (--seeds 3)."
        ]
    said = []
    if unknown := [gain.task for gain in found.gains if gain.gain is None]:
        said = [f"Nothing is said of {', '.join(unknown)}: the metric is not defined in every run."]
    if not found.hurt:
        return ["Negative transfer beyond the noise: none was seen.", *said]
    return [f"Negative transfer beyond the noise: {'; '.join(map(_hurt, found.hurt))}.", *said]


def _hurt(gain: TaskGain) -> str:
    assert gain.gain is not None  # a task without one is not said to be hurt
    return f"{gain.task} ({gain.metric} {gain.gain.mean:+.4f} ± {gain.gain.margin:.4f})"


def _on_scores(found: Baselines) -> list[str]:
    scores = ", ".join(f"{task}: {json.dumps(own)}" for task, own in found.baseline_scores.items())
    if not scores:
        return []
    return [f"For a recipe, to have eval_delta_m: training: {{baseline_scores: {{{scores}}}}}"]
