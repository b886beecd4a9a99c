# SPDX-License-Identifier: Apache-2.0
"""How a run scales with its processes, with its tasks, and with its length.

Run: ``python benchmarks/scaling.py`` after ``make data``; ``--quick`` only shows that it runs. The
encoder is that of the quickstart and so are the rows, but for the resumed runs, whose rows are
made up, because a million steps need as many. Every training is a process of its own (or two), in
which imports are over before the clock starts, so that memory and threads are its own. What is
compared takes turns for several rounds; tables have the median and the spread over the rounds.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import yaml
from bench_training import CACHE, WARMUP_STEPS, StepTimer, news, suite_of
from child_processes import in_child
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer, TrainerCallback

from hf_mtl import MultiTaskModel, MultiTaskTrainer, MultiTaskTrainingArguments
from hf_mtl.data import (
    SAMPLERS,
    PreparedSource,
    SourceCollection,
    SourceSize,
    StepPlan,
    find_labels,
    prepare,
)
from hf_mtl.tasks import TaskSuite
from hf_mtl.training.recipe import Recipe, RecipeData, build_plan, build_trainer
from hf_mtl.training.recipe.prepared import load_prepared_data, save_prepared_data

ENCODER = CACHE / "minilm"
NUM_TASKS = 4
LENGTH = 64
ROWS_PER_TASK = 64
PHASES = ("recipe", "data", "plan", "trainer", "first step")


class FirstStep(TrainerCallback):  # type: ignore[misc]  # untyped base
    """When the first step of a run was done."""

    time = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keeps the time of the first call."""
        self.time = self.time or time.perf_counter()


class Leap(TrainerCallback):  # type: ignore[misc]  # untyped base
    """Makes a run take its last step for a much later one, as which it is saved."""

    def __init__(self, position: int) -> None:
        self.position = position

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Changes the number of the step."""
        if state.global_step == args.max_steps:
            state.global_step = self.position


def arguments(folder: str, **given: Any) -> MultiTaskTrainingArguments:
    """Arguments that all trainings share."""
    quiet = {"disable_tqdm": True, "report_to": "none", "logging_steps": 10_000, "use_cpu": True}
    return MultiTaskTrainingArguments(
        output_dir=folder, **{"save_strategy": "no", "seed": 0, **quiet, **given}
    )


# What runs in a process of its own: from plain values to plain values.


def train(batch_size: int, steps: int, threads: int) -> dict[str, float]:
    """Seconds of the steps of a training, and of reading and collating a draw."""
    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    rows = news(tokenizer, batch_size * (steps + WARMUP_STEPS), LENGTH)
    suite = suite_of(NUM_TASKS, LENGTH)
    timer = StepTimer()
    with tempfile.TemporaryDirectory() as folder:
        trainer = MultiTaskTrainer(
            model=MultiTaskModel.from_backbone(str(ENCODER), suite),
            args=arguments(
                folder,
                max_steps=WARMUP_STEPS + steps,
                per_device_train_batch_size=batch_size // world_size,
                sampler="round_robin",
            ),
            train_dataset={task: rows.shard(NUM_TASKS, i) for i, task in enumerate(suite)},
            processing_class=tokenizer,
            callbacks=[timer],
        )
        trainer.train()
        start = time.perf_counter()
        num_batches = sum(1 for _ in trainer.get_train_dataloader())
        return {"step": timer.seconds / steps, "read": (time.perf_counter() - start) / num_batches}


def store(recipe_file: str, folder: str) -> dict[str, float]:
    """Seconds in which prepared data of a recipe are written; the same few shares, in turn."""
    recipe = Recipe.from_file(recipe_file)
    assert recipe.suite is not None
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    few = recipe.suite.subset(list(recipe.suite)[:16])
    rows = news(tokenizer, ROWS_PER_TASK * len(few), LENGTH)
    few = find_labels(few, dict.fromkeys(few, rows))
    shares = {task: rows.shard(len(few), index) for index, task in enumerate(few)}
    encoded = list(prepare(few, shares, tokenizer).sources.values())
    sources, specs = {}, {}
    for index, (task, spec) in enumerate(recipe.suite.items()):
        source = encoded[index % len(encoded)]
        own = source.dataset.rename_columns({f"labels:{source.name}": f"labels:{task}"})
        sources[task] = PreparedSource(task, (task,), own)
        specs[task] = spec.replace(labels=few[source.name].labels)
    suite = TaskSuite(specs)
    collection = SourceCollection(suite, sources, tokenizer)
    data = RecipeData(suite, tokenizer, collection, None, None, dict.fromkeys(suite, "none"))
    start = time.perf_counter()
    save_prepared_data(recipe, data, folder)
    return {"seconds": time.perf_counter() - start}


def start_up(recipe_file: str, folder: str) -> dict[str, float]:
    """Seconds of each phase until a run has done its first step, and its largest memory."""
    before = peak_bytes()
    seconds: dict[str, float] = {}

    def timed(phase: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = call()
        seconds[phase] = time.perf_counter() - start
        return result

    recipe = timed("recipe", lambda: Recipe.from_file(recipe_file))
    data = timed("data", lambda: load_prepared_data(recipe, folder))
    timed("plan", lambda: build_plan(recipe, data))
    trainer = timed("trainer", lambda: build_trainer(recipe, data))
    first = FirstStep()
    trainer.add_callback(first)
    start = time.perf_counter()
    trainer.train()
    seconds["first step"] = first.time - start
    parameters = sum(parameter.nbytes for parameter in trainer.model.parameters())
    return {**seconds, "peak": peak_bytes(), "imports": before, "parameters": parameters}


def resume(positions: Sequence[int]) -> dict[str, float]:
    """Seconds until the first step after a checkpoint at each position of an epoch is done."""
    bare = suite_of(10, LENGTH)
    suite = TaskSuite({task: spec.replace(labels=("a", "b")) for task, spec in bare.items()})
    seconds = {}
    for position in positions:
        with tempfile.TemporaryDirectory() as folder:
            before = resumable(suite, folder, max(positions), max_steps=2, save_strategy="steps")
            before.add_callback(Leap(position))
            before.train()
            trainer = resumable(suite, folder, max(positions), max_steps=position + 1)
            trainer.add_callback(first := FirstStep())
            start = time.perf_counter()
            trainer.train(resume_from_checkpoint=f"{folder}/checkpoint-{position}")
            seconds[str(position)] = first.time - start
    return seconds


def resumable(suite: TaskSuite, folder: str, steps: int, **given: Any) -> MultiTaskTrainer:
    """A trainer whose epoch has more steps than that, of one row of eight tokens each."""
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    num_rows = steps // len(suite) + 10
    tokens = pa.array([[101, *range(2000, 2006), 102]]).take(pa.array([0] * num_rows))
    ones = pa.array([[1] * 8]).take(pa.array([0] * num_rows))
    sources = {}
    for task in suite:
        labels = pa.array([0, 1]).take(pa.array([row % 2 for row in range(num_rows)]))
        columns = {"input_ids": tokens, "attention_mask": ones, f"labels:{task}": labels}
        sources[task] = PreparedSource(task, (task,), Dataset(pa.table(columns)))
    return MultiTaskTrainer(
        model=MultiTaskModel.from_backbone(str(ENCODER), suite),
        args=arguments(folder, per_device_train_batch_size=1, save_steps=2, **given),
        train_dataset=SourceCollection(suite, sources, tokenizer),
        processing_class=tokenizer,
    )


def peak_bytes() -> int:
    """Largest memory of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


CHILDREN = {call.__name__: call for call in (train, store, start_up, resume)}


def measured(name: str, *, processes: int = 1, **given: Any) -> dict[str, float]:
    """What one of these functions returns in a process of its own, or on rank 0 of several."""
    values = {"name": name, "given": given}
    return in_child(__file__, values, processes=processes, threads=given.get("threads", 2))


def processes_table(options: argparse.Namespace) -> tuple[Table, float, float]:
    """One process against two; and seconds of a step and of reading a draw on one thread."""
    ways = {
        "1 process, 1 thread": {"processes": 1, "threads": 1},
        "1 process, 2 threads": {"processes": 1, "threads": 2},
        "2 processes, 1 thread each": {"processes": 2, "threads": 1},
    }
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, settings in ways.items():
            given = {"batch_size": options.batch_size, "steps": options.steps}
            found[way].append(measured("train", **given, **settings))
    title = f"Training, {options.batch_size} rows of {LENGTH} tokens a step over all processes"
    table = table_of(title, "way", "rows a second", "against the first", "spread over rounds")
    first = found["1 process, 1 thread"]
    for way, runs in found.items():
        ratios = [a["step"] / b["step"] for a, b in zip(first, runs, strict=True)]
        rate = options.batch_size / statistics.median(run["step"] for run in runs)
        table.add_row(way, f"{rate:.1f}", f"{statistics.median(ratios):.3f}", spread(ratios))
    seconds = [statistics.median(run[key] for run in first) for key in ("step", "read")]
    return table, seconds[0], seconds[1]


def draws_table(options: argparse.Namespace, step: float, read: float) -> Table:
    """Cost of a draw for each sampler and number of tasks, against a step of one draw."""
    title = f"A draw, against its forward, backward and update of {1000 * step:.1f} ms"
    table = table_of(title, "sampler", "tasks", "microseconds a draw", "share", "spread")
    for sampler in (*SAMPLERS.names(), "all"):
        for num_tasks in options.tasks:
            found = [seconds_a_draw(sampler, num_tasks) for _ in range(options.rounds)]
            micro = f"{1e6 * statistics.median(found):.1f}"
            share = f"{statistics.median(found) / step:.5f}"
            table.add_row(sampler, str(num_tasks), micro, share, spread([s / step for s in found]))
    table.add_row("rows read and collated", "4", f"{1e6 * read:.1f}", f"{read / step:.5f}", "")
    return table


def fields(sampler: str, sources: Iterable[str]) -> dict[str, Any]:
    """What a sampler has to be given: rates, stages or groups of which each source is in one."""
    names = list(sources)
    each = dict.fromkeys(names, 1)
    halves = [half for half in (names[::2], names[1::2]) if half]
    required: dict[str, dict[str, Any]] = {
        "fixed": {"probabilities": each},
        "scheduled": {"points": [{"at": 0, "probabilities": each}]},
        "stages": {"stages": halves},
        "nested": {"groups": {f"group{i}": half for i, half in enumerate(halves)}},
    }
    return required.get(sampler, {})


def seconds_a_draw(sampler: str, num_tasks: int, most: int = 20_000) -> float:
    """Seconds from a plan to its draws, its preparation included."""
    sizes = {f"news{i}": SourceSize(2000 + i % 7, 32) for i in range(num_tasks)}
    if sampler == "all":
        plan = StepPlan(sizes, tasks_per_step="all")
    else:
        plan = StepPlan(sizes, sampler=SAMPLERS.build({"name": sampler, **fields(sampler, sizes)}))
    start = time.perf_counter()
    draws = 0
    for batch in plan:
        draws += len(batch)
        if draws >= most:
            break
    return (time.perf_counter() - start) / draws


def start_table(options: argparse.Namespace) -> Table:
    """Phases of start-up and the largest memory with some numbers of tasks."""
    title = "Start-up from prepared data to the end of the first step, in seconds"
    columns = ["tasks", *PHASES, "total", "spread", "MiB", "MiB of parameters", "written in"]
    table = table_of(title, *columns)
    for num_tasks in options.tasks:
        with tempfile.TemporaryDirectory() as folder:
            recipe = write_recipe(Path(folder), num_tasks)
            given = {"recipe_file": str(recipe), "folder": f"{folder}/prepared"}
            stored = measured("store", **given)
            runs = [measured("start_up", **given) for _ in range(options.rounds)]
        totals = [sum(run[phase] for phase in PHASES) for run in runs]
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        table.add_row(
            str(num_tasks),
            *(f"{middle[phase]:.2f}" for phase in PHASES),
            f"{statistics.median(totals):.2f}",
            f"{min(totals):.2f} to {max(totals):.2f}",
            f"{middle['imports'] / 2**20:.0f} + {(middle['peak'] - middle['imports']) / 2**20:.0f}",
            f"{middle['parameters'] / 2**20:.0f}",
            f"{stored['seconds']:.1f}",
        )
    return table


def write_recipe(folder: Path, num_tasks: int) -> Path:
    """Recipe of so many tasks on rows of their own, all cut from one file."""
    task = {
        "type": "text-classification",
        "columns": {"text": "body", "label": "group"},
        "max_length": LENGTH,
        "data": {
            "path": "json",
            "data_files": str(CACHE / "news-train.jsonl"),
            "eval_split": "none",
        },
    }
    content = {
        "model": {"backbone": str(ENCODER)},
        "tasks": {f"news{index}": task for index in range(num_tasks)},
        "training": {
            "output_dir": str(folder / "run"),
            "max_steps": 1,
            "per_device_train_batch_size": 8,
            "save_strategy": "no",
            "overwrite_output_dir": True,
            "disable_tqdm": True,
            "report_to": "none",
            "use_cpu": True,
        },
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def resume_table(options: argparse.Namespace) -> Table:
    """Seconds of a resumed run until its first step, by the position of its checkpoint."""
    title = "Resume of 10 tasks in the middle of an epoch, until its first step"
    table = table_of(title, "step of the checkpoint", "seconds", "against the first", "spread")
    runs = [measured("resume", positions=options.positions) for _ in range(options.rounds)]
    first = str(options.positions[0])
    for position in map(str, options.positions):
        ratios = [run[position] / run[first] for run in runs]
        seconds = statistics.median(run[position] for run in runs)
        middle = f"{statistics.median(ratios):.2f}"
        table.add_row(f"{int(position):,}", f"{seconds:.2f}", middle, spread(ratios))
    return table


def table_of(title: str, *columns: str) -> Table:
    """An empty table."""
    table = Table(title=title, box=None)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def spread(ratios: Sequence[float]) -> str:
    """Smallest and largest."""
    return f"{min(ratios):.5g} to {max(ratios):.5g}"


def main() -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12, help="measured steps of each training")
    parser.add_argument("--batch-size", type=int, default=16, help="rows over all processes")
    parser.add_argument("--quick", action="store_true", help="one round of very little")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(CHILDREN[options.child["name"]](**options.child["given"])))
        return
    options.tasks, options.positions = [10, 100, 500], [10, 10_000, 1_000_000]
    if options.quick:
        options.rounds, options.steps, options.batch_size = 1, 1, 4
        options.tasks, options.positions = [2, 4], [4, 40]
    console = Console(width=140)
    table, step, read = processes_table(options)
    console.print(table)
    for made in (draws_table(options, step, read), start_table(options), resume_table(options)):
        console.print(made)
    console.print(f"torch {torch.__version__}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
