# SPDX-License-Identifier: Apache-2.0
"""From sources and arguments to the plan of the steps."""

from collections.abc import Mapping

from hf_mtl.data import SAMPLERS, SourceSize, StepPlan
from hf_mtl.training.arguments import MultiTaskTrainingArguments

__all__ = ["step_plan"]


def step_plan(sizes: Mapping[str, SourceSize], args: MultiTaskTrainingArguments) -> StepPlan:
    """Plan of the steps of every epoch, for this rank.

    Args:
        sizes: Rows of each source, and of one draw over all ranks and micro-batches.
        args: How sources are mixed.
    """
    is_drawn = args.tasks_per_step != "all"
    return StepPlan(
        sizes,
        sampler=SAMPLERS.build(args.sampler or "proportional") if is_drawn else None,
        tasks_per_step=args.tasks_per_step,  # type: ignore[arg-type]  # checked to be one of both
        stopping=args.stopping,
        accumulation=args.gradient_accumulation_steps,
        world_size=args.world_size,
        rank=args.process_index,
        seed=args.seed if args.data_seed is None else args.data_seed,
    )
