# SPDX-License-Identifier: Apache-2.0
"""Whether a sampler can follow the run as the user wants it to."""

import math

from hf_mtl._typing import Entry
from hf_mtl.data import SAMPLERS, AdaptiveSampler
from hf_mtl.tasks import TaskSuite
from hf_mtl.training.arguments import MultiTaskTrainingArguments

__all__ = [
    "adaptive_sampler_of",
    "check_adaptive_sampler",
    "check_changes_in_time",
    "check_sampler_evaluations",
    "without_adapting",
]


def adaptive_sampler_of(args: MultiTaskTrainingArguments) -> AdaptiveSampler | None:
    """The sampler of these arguments, if it follows the run."""
    if args.sampler is None or args.tasks_per_step == "all":
        return None
    sampler = SAMPLERS.build(args.sampler)
    return sampler if isinstance(sampler, AdaptiveSampler) else None


def without_adapting(entry: Entry) -> Entry:
    """The base of an adaptive sampler's entry; any other entry as it is."""
    sampler = SAMPLERS.build(entry)
    return sampler.base if isinstance(sampler, AdaptiveSampler) else entry


def check_adaptive_sampler(args: MultiTaskTrainingArguments) -> None:
    """Raises ``ValueError`` if a sampler is to follow a run that it cannot follow.

    Because there are no evaluations that it could go by, or because loaders draw batches before
    its rates are settled.

    Args:
        args: The arguments.
    """
    sampler = adaptive_sampler_of(args)
    if sampler is None:
        return
    if sampler.needs_evaluation and args.eval_strategy == "no":
        raise ValueError(
            f"`eval_strategy` must be 'steps' or 'epoch' with {args.sampler!r}, a sampler that "
            f"goes by evaluations, but got 'no'."
        )
    if sampler.needs_evaluation and (args.eval_strategy, args.save_strategy) == ("epoch", "steps"):
        raise ValueError(
            f"`save_strategy` must be 'epoch' or 'no' with `eval_strategy='epoch'` and "
            f"{args.sampler!r}, a sampler that goes by evaluations, because a checkpoint of the "
            f"last step of an epoch would lack that of the epoch, but got 'steps'."
        )
    # One by accelerate's loader; the others wait for workers, two for each unless it is said.
    ahead = 1 + args.dataloader_num_workers * (args.dataloader_prefetch_factor or 2)
    least = 1 + math.ceil(ahead / args.gradient_accumulation_steps)
    if sampler.update_every < least:
        raise ValueError(
            f"`update_every` of the sampler must be {least} or more, because the next {ahead} "
            f"batches are drawn before its rates change, but got {sampler.update_every}. Raise it, "
            f"or lower `dataloader_num_workers` or `dataloader_prefetch_factor`."
        )


def check_sampler_evaluations(
    args: MultiTaskTrainingArguments, suite: TaskSuite, evaluated: TaskSuite | None
) -> None:
    """Raises ``ValueError`` if a sampler goes by evaluations that some sources have no part in.

    Args:
        args: The arguments.
        suite: The tasks.
        evaluated: Those that are evaluated; ``None``: none.
    """
    sampler = adaptive_sampler_of(args)
    if sampler is None or not sampler.needs_evaluation:
        return
    judged = set(evaluated or ())
    if missing := [source for source, tasks in suite.sources.items() if not judged & set(tasks)]:
        raise ValueError(
            f"`eval_dataset` must have rows for every source with {args.sampler!r}, a sampler that "
            f"goes by evaluations, but has none for {missing}."
        )


def check_changes_in_time(
    sampler: AdaptiveSampler,
    num_steps: int,
    evaluate_every: float = 0,
    *,
    first_is_given: bool = False,
) -> None:
    """Raises ``ValueError`` if a run ends before the rates of its sampler can change.

    Args:
        sampler: The sampler.
        num_steps: Steps of the run.
        evaluate_every: Steps from one evaluation to the next.
        first_is_given: Whether there is one before the first step.
    """
    waits = (sampler.idle_segments + 1) * sampler.update_every
    if sampler.needs_evaluation:
        last = math.ceil((sampler.idle_evaluations - first_is_given) * evaluate_every)
        waits = (math.ceil(last / sampler.update_every) + 1) * sampler.update_every
    if waits >= num_steps:
        raise ValueError(
            f"`update_every` of the sampler must be so low that its rates can change before the "
            f"run ends, but with {sampler!r} they stay for the first {waits} of {num_steps} steps. "
            f"Lower it, evaluate more often if it goes by that, or train for longer."
        )
