# SPDX-License-Identifier: Apache-2.0
"""From sources and arguments to the plan of the steps, and what a checkpoint keeps of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hf_mtl.data import SAMPLERS, SettledRates, SourceCollection, StepPlan, token_batches
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.gradient_balance import gradient_method_of

__all__ = ["Mixture", "step_plan"]


def step_plan(
    collection: SourceCollection,
    args: MultiTaskTrainingArguments,
    batch_size: int,
    settled: SettledRates | None = None,
) -> StepPlan:
    """Plan of the steps of every epoch, for this rank.

    Args:
        collection: The rows.
        args: How sources are mixed, over how many ranks and micro-batches.
        batch_size: Rows of a batch on each device for sources that say nothing else.
        settled: Where the run settles the rates of an adaptive sampler.

    Raises:
        ValueError: If a row does not fit into ``batch_tokens``, or its length is not known.
    """
    is_drawn = args.tasks_per_step != "all"
    sampler = SAMPLERS.build(args.sampler or "proportional") if is_drawn else None
    num_slots = args.world_size * args.gradient_accumulation_steps
    sizes = collection.sizes(
        batch_size=batch_size,
        num_slots=num_slots,
        max_steps=args.max_steps,
        draws_per_step=int(args.tasks_per_step) if is_drawn else 1,
        sampler=sampler,
        token_batches=token_batches(collection, args.batch_tokens, num_slots=num_slots),
    )
    method = None if args.gradient_method is None else gradient_method_of(args.gradient_method)
    return StepPlan(
        sizes,
        sampler=sampler,
        tasks_per_step=args.tasks_per_step,  # type: ignore[arg-type]  # checked to be one of both
        stopping=args.stopping,
        accumulation=args.gradient_accumulation_steps,
        world_size=args.world_size,
        rank=args.process_index,
        seed=args.seed if args.data_seed is None else args.data_seed,
        keeps_micro_batches=method is not None and method.num_batches > 1,
        num_epochs=args.num_train_epochs,
        max_steps=args.max_steps,
        settled=settled,
    )


@dataclass(frozen=True)
class Mixture:
    """All that decides which rows come when; a checkpoint's position means nothing without it.

    Args:
        seed: Seed of the plan.
        tasks_per_step: Draws of a step, or ``"all"``.
        sampler: Entry of the sampler; ``None`` where nothing is drawn.
        stopping: When an epoch of ``"all"`` ends.
        sources: Rows of each source, and of one draw over all ranks and micro-batches. ``None`` for
            the rows of a stream of unknown length: whatever stands for it, the draws are the same.
        streams: Those sources that are streams.
        stream_shuffle_rows: Rows of a stream's shard that are shuffled together; ``None`` where
            nothing is streamed.
        training_steps: Steps of the training, if rates or weights change with its progress.
        draw_tokens: Of each source that draws by tokens: tokens of a draw over all ranks and
            micro-batches, and draws of a pass; ``None`` where there is no such source.
    """

    seed: int
    tasks_per_step: int | str
    sampler: Mapping[str, Any] | None
    stopping: str
    sources: Mapping[str, tuple[int | None, int]]
    streams: Sequence[str] = ()
    stream_shuffle_rows: int | None = None
    training_steps: int | None = None
    draw_tokens: Mapping[str, tuple[int, int]] | None = None

    @classmethod
    def of(
        cls,
        plan: StepPlan,
        stream_shuffle_rows: int | None = None,
        *,
        is_scheduled: bool = False,
    ) -> "Mixture":
        """Mixture of a plan.

        Args:
            plan: The plan.
            stream_shuffle_rows: Rows of a stream's shard that are shuffled together.
            is_scheduled: Whether tasks have schedules.
        """
        changes = is_scheduled or (plan.sampler is not None and plan.sampler.changes)
        draw_tokens = {
            name: (size.token_batches.tokens, len(size.token_batches))
            for name, size in plan.sizes.items()
            if size.token_batches is not None
        }
        streams = [name for name, size in plan.sizes.items() if size.is_stream]
        return cls(
            seed=plan.seed,
            tasks_per_step=plan.tasks_per_step,
            sampler=None if plan.sampler is None else SAMPLERS.to_config(plan.sampler),
            stopping=plan.stopping,
            sources={
                name: (None if size.is_nominal else size.num_rows, size.batch_size)
                for name, size in plan.sizes.items()
            },
            streams=streams,
            stream_shuffle_rows=stream_shuffle_rows if streams else None,
            training_steps=plan.training_steps if changes else None,
            draw_tokens=draw_tokens or None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON gives them back."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    def differences(self, saved: Mapping[str, Any]) -> list[str]:
        """What is another now than in a checkpoint, in words; none if the order is the same.

        Args:
            saved: What ``to_dict`` gave when the checkpoint was saved.
        """
        current = self.to_dict()
        return [
            f"`{name}` was {saved.get(name)} and is {current[name]}"
            for name in current
            if saved.get(name) != current[name]
        ]
