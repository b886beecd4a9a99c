# SPDX-License-Identifier: Apache-2.0
"""Each task of a recipe alone, and all of them together, for several seeds."""

import gc
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from hf_mtl._numbers import check_positive
from hf_mtl.hub import library_versions
from hf_mtl.training.baselines.alone import recipe_alone, recipe_unseen, what_differs
from hf_mtl.training.baselines.budget import steps_alone
from hf_mtl.training.baselines.comparison import Baselines, compare
from hf_mtl.training.baselines.fingerprint import Fingerprint
from hf_mtl.training.baselines.kept_runs import KeptRun, check_cache, finite_rows
from hf_mtl.training.mixture import step_plan
from hf_mtl.training.recipe import (
    Recipe,
    RecipeData,
    build_plan,
    build_trainer,
    load_data,
    results_of_training,
)

__all__ = ["measure_baselines"]

_CACHE_FOLDER = "baselines"


@dataclass(frozen=True)
class _Job:
    """Something to train with every seed: one task, or all of them (``None``)."""

    task: str | None
    recipe: Recipe
    data: RecipeData
    steps: int
    fingerprint: Fingerprint

    def file_name(self, seed: int) -> str:
        what = "together" if self.task is None else f"alone-{self.task}"
        return f"{what}-seed-{seed}-{self.fingerprint.name(seed)}.json"

    def in_words(self, seed: int) -> str:
        what = "all tasks together" if self.task is None else f"{self.task} alone"
        return f"{what}, seed {seed}, {self.steps:,} steps"


def measure_baselines(
    recipe: str | Path,
    *,
    num_seeds: int = 3,
    overrides: Iterable[str] = (),
    cache: str | Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Baselines:
    """Trains each task of a recipe alone and all of them together, and compares what they reach.

    A task alone has the recipe's backbone, rows and settings, and as many steps as it is drawn
    among the others. Nothing of the models is kept. What a run gave is, so that no run is made
    twice: not by a second call, and not by one that goes on where another was interrupted.

    Args:
        recipe: The file of the recipe.
        num_seeds: Seeds: the recipe's own, and those that follow it.
        overrides: Changes to the recipe, each ``dotted.path=value``.
        cache: Folder in which finished runs are kept. ``None``: ``baselines`` in the recipe's
            output folder.
        tell: Called with a line of text before each run.

    Raises:
        RecipeError: If the recipe or its data is wrong, or it trains a single task.
        TypeError: If ``num_seeds`` is no whole number.
        ValueError: If it is not positive, there are several processes, there are no rows to
            evaluate on, or the folder holds something else.
    """
    _check_one_process()
    check_positive("seeds", num_seeds, whole=True)
    read = _with_several_tasks(Recipe.from_file(recipe, overrides))
    data = load_data(read)
    if data.test is None:
        raise ValueError(f"{recipe} must name rows to evaluate on, but says `eval_split: none`.")
    folder = Path(cache or Path(read.arguments["output_dir"]) / _CACHE_FOLDER)
    check_cache(folder)
    together, *alone = jobs = _jobs(read, data)
    seeds = range(read.seed, read.seed + num_seeds)
    runs, num_trained = _all_runs(jobs, seeds, folder, tell)
    suite = data.suite.subset(job.task for job in alone if job.task is not None)
    gains, delta_m = compare(suite, runs)
    steps = {task: job.steps for task, job in zip(suite, alone, strict=True)}
    return Baselines(
        seeds=tuple(seeds),
        gains=gains,
        delta_m=delta_m,
        steps=steps,
        steps_together=together.steps,
        differs=what_differs(read, has_other_steps={*steps.values()} != {together.steps}),
        num_trained=num_trained,
        cache=folder,
    )


def _check_one_process() -> None:
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count > 1:
        raise ValueError(
            f"Baselines must be measured in one process, but there are {count}. Start `hf-mtl "
            f"baselines` without a launcher; CUDA_VISIBLE_DEVICES=0 chooses a device."
        )


def _with_several_tasks(recipe: Recipe) -> Recipe:
    """The recipe, with a fault if there is nothing to compare."""
    trained = [task for task, spec in (recipe.suite or {}).items() if spec.weight > 0]
    if recipe.suite is None or len(trained) > 1:
        return recipe
    return recipe.with_fault(
        "tasks",
        f"There must be two tasks or more of a weight above 0 to compare alone and together, but "
        f"only {trained} are trained. Use `hf-mtl train` for a single task.",
    )


def _jobs(recipe: Recipe, data: RecipeData) -> list[_Job]:
    """All that is to be trained, all tasks together first; what is wrong is found here."""
    args = recipe.training_arguments()
    plan = step_plan(data.train, args, args.train_batch_size)
    unseen = recipe_unseen(recipe)
    together = _job(None, unseen, data)
    steps = steps_alone(plan, data.suite)
    jobs = [together]
    for task, own_steps in steps.items():
        own = recipe_alone(unseen, task, steps=own_steps, steps_together=together.steps)
        jobs.append(_job(task, own, load_data(own)))
    return jobs


def _job(task: str | None, recipe: Recipe, data: RecipeData) -> _Job:
    steps = build_plan(recipe, data).steps
    return _Job(task, recipe, data, steps, Fingerprint.of(recipe, data))


def _all_runs(
    jobs: list[_Job], seeds: Iterable[int], folder: Path, tell: Callable[[str], None]
) -> tuple[list[KeptRun], int]:
    """Runs of every job with every seed, and how many of them were made here."""
    todo = [(seed, job, folder / job.file_name(seed)) for seed in seeds for job in jobs]
    # All of them are read before the first is made: a file that is no run is said at once.
    kept = {path: KeptRun.load(path) for _, _, path in todo if path.exists()}
    if kept:
        tell(f"{len(kept)} of {len(todo)} runs are in {folder}.")
    missing = [(seed, job, path) for seed, job, path in todo if path not in kept]
    for number, (seed, job, path) in enumerate(missing, start=1):
        tell(f"Run {number} of {len(missing)}: {job.in_words(seed)}.")
        kept[path] = _train(job, seed)
        kept[path].save(path)
    return [kept[path] for _, _, path in todo], len(missing)


def _train(job: _Job, seed: int) -> KeptRun:
    with tempfile.TemporaryDirectory() as folder:
        arguments = {**job.recipe.arguments, "seed": seed, "output_dir": folder}
        trainer = build_trainer(replace(job.recipe, arguments=arguments), job.data)
        start = perf_counter()
        trainer.train()
        seconds = perf_counter() - start
        rows = results_of_training(trainer, job.data)
        steps = trainer.state.global_step
    del trainer
    gc.collect()  # a trainer is part of cycles, which would keep its model beside the next one
    return KeptRun(job.task, seed, steps, seconds, finite_rows(rows), library_versions())
