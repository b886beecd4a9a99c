# SPDX-License-Identifier: Apache-2.0
"""From sources and arguments to the plan of the steps, and what a checkpoint keeps of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hf_mtl.data import SAMPLERS, SourceCollection, StepPlan
from hf_mtl.training.arguments import MultiTaskTrainingArguments

__all__ = ["MIXTURE_FILE", "Mixture", "step_plan"]

MIXTURE_FILE = "mixture.json"


def step_plan(
    collection: SourceCollection, args: MultiTaskTrainingArguments, batch_size: int
) -> StepPlan:
    """Plan of the steps of every epoch, for this rank.

    Args:
        collection: The rows.
        args: How sources are mixed, over how many ranks and micro-batches.
        batch_size: Rows of a batch on each device for sources that say nothing else.
    """
    num_slots = args.world_size * args.gradient_accumulation_steps
    is_drawn = args.tasks_per_step != "all"
    return StepPlan(
        collection.sizes(batch_size=batch_size, num_slots=num_slots),
        sampler=SAMPLERS.build(args.sampler or "proportional") if is_drawn else None,
        tasks_per_step=args.tasks_per_step,  # type: ignore[arg-type]  # checked to be one of both
        stopping=args.stopping,
        accumulation=args.gradient_accumulation_steps,
        world_size=args.world_size,
        rank=args.process_index,
        seed=args.seed if args.data_seed is None else args.data_seed,
    )


@dataclass(frozen=True)
class Mixture:
    """All that decides which rows come when; a checkpoint's position means nothing without it.

    Args:
        seed: Seed of the plan.
        tasks_per_step: Draws of a step, or ``"all"``.
        sampler: Entry of the sampler; ``None`` where nothing is drawn.
        stopping: When an epoch of ``"all"`` ends.
        sources: Rows of each source, and of one draw over all ranks and micro-batches.
    """

    seed: int
    tasks_per_step: int | str
    sampler: Mapping[str, Any] | None
    stopping: str
    sources: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, plan: StepPlan) -> "Mixture":
        """Mixture of a plan."""
        return cls(
            seed=plan.seed,
            tasks_per_step=plan.tasks_per_step,
            sampler=None if plan.sampler is None else SAMPLERS.to_config(plan.sampler),
            stopping=plan.stopping,
            sources={name: (size.num_rows, size.batch_size) for name, size in plan.sizes.items()},
        )

    def save(self, folder: Path) -> None:
        """Writes ``mixture.json`` into a checkpoint."""
        (folder / MIXTURE_FILE).write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")

    def differences(self, folder: Path) -> list[str]:
        """What is another now than in a checkpoint, in words; none if the order is the same."""
        saved = json.loads((folder / MIXTURE_FILE).read_text(encoding="utf-8"))
        current = json.loads(json.dumps(asdict(self)))
        return [
            f"`{name}` was {saved.get(name)} and is {current[name]}"
            for name in (field.name for field in fields(self))
            if saved.get(name) != current[name]
        ]
