# SPDX-License-Identifier: Apache-2.0
"""Joint training next to the plain Trainer, and all heads in one pass next to one model each.

Run: ``python benchmarks/bench_training.py`` after ``make data``. Every way of doing it sees the
same rows of news, each cut to the same number of tokens, with the same encoder, in one process. The
ways take turns for several rounds; the table has the median over the rounds and their spread.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, load_dataset
from rich.console import Console
from rich.table import Table
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from hf_mtl import (
    MultiTaskModel,
    MultiTaskTrainer,
    MultiTaskTrainingArguments,
    TaskSpec,
    TaskSuite,
)

CACHE = Path(os.environ.get("HF_MTL_CACHE") or Path.home() / ".cache" / "hf_mtl" / "quickstart")
NUM_TASKS = 4
WARMUP_STEPS = 2


class StepTimer(TrainerCallback):  # type: ignore[misc]  # untyped base
    """Seconds from the end of the warm-up to the end of training."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Starts after the warm-up, and keeps the time of the last step."""
        if state.global_step == WARMUP_STEPS:
            self.start = time.perf_counter()
        self.stop = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds of the steps after the warm-up."""
        return self.stop - self.start


def shuffled_news() -> Dataset:
    """All rows of news; their file is sorted by group."""
    rows = load_dataset("json", data_files=str(CACHE / "news-train.jsonl"), split="train")
    return rows.shuffle(seed=0)


def news(tokenizer: Any, num_rows: int, length: int) -> Dataset:
    """Rows whose texts have at least that many tokens, so that all batches are of one shape."""
    rows = shuffled_news().select(range(4 * num_rows))
    lengths = [len(ids) for ids in tokenizer(rows["body"][:], truncation=False)["input_ids"]]
    return rows.select([i for i, size in enumerate(lengths) if size >= length][:num_rows])


def single_task(rows: Dataset, tokenizer: Any, length: int) -> tuple[Dataset, Any]:
    """Rows of news, cut off at a length, and a model, as the plain Trainer wants them."""
    names = sorted(set(rows["group"][:]))
    encoded = rows.map(
        lambda batch: {
            **tokenizer(batch["body"], truncation=True, max_length=length),
            "labels": [names.index(name) for name in batch["group"]],
        },
        batched=True,
        remove_columns=rows.column_names,
    )
    model = AutoModelForSequenceClassification.from_pretrained(
        CACHE / "minilm", num_labels=len(names)
    )
    return encoded, model


def common_arguments(folder: str, options: argparse.Namespace) -> dict[str, Any]:
    """Arguments that all ways share."""
    return {
        "output_dir": folder,
        "max_steps": WARMUP_STEPS + options.steps,
        "per_device_train_batch_size": options.batch_size,
        "save_strategy": "no",
        "logging_steps": 10,
        "disable_tqdm": True,
        "seed": 0,
    }


def plain(rows: Dataset, tokenizer: Any, options: argparse.Namespace) -> float:
    """Seconds of the plain Trainer on one task."""
    encoded, model = single_task(rows, tokenizer, options.length)
    timer = StepTimer()
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            model=model,
            args=TrainingArguments(**common_arguments(folder, options)),
            train_dataset=encoded,
            data_collator=DataCollatorWithPadding(tokenizer),
            callbacks=[timer],
        ).train()
    return timer.seconds


def suite_of(num_tasks: int, length: int, batch_size: int | None = None) -> TaskSuite:
    """Tasks on sources of their own, all of one kind."""
    spec = TaskSpec(
        "text-classification",
        columns={"text": "body", "label": "group"},
        max_length=length,
        batch_size=batch_size,
    )
    return TaskSuite({f"news{index}": spec for index in range(num_tasks)})


def joint(
    rows: Dataset,
    tokenizer: Any,
    options: argparse.Namespace,
    num_tasks: int,
    *,
    batch_size: int | None = None,
    **mixture: Any,
) -> float:
    """Seconds of the multi-task trainer on the same rows, dealt out to some tasks."""
    suite = suite_of(num_tasks, options.length, batch_size)
    sources = {task: rows.shard(num_tasks, index) for index, task in enumerate(suite)}
    timer = StepTimer()
    with tempfile.TemporaryDirectory() as folder:
        MultiTaskTrainer(
            model=MultiTaskModel.from_backbone(str(CACHE / "minilm"), suite),
            args=MultiTaskTrainingArguments(**common_arguments(folder, options), **mixture),
            train_dataset=sources,
            processing_class=tokenizer,
            callbacks=[timer],
        ).train()
    return timer.seconds


def one_pass(rows: Dataset, tokenizer: Any, options: argparse.Namespace) -> tuple[float, float]:
    """Seconds of one model each for all tasks, and of one pass with all heads, on one batch."""
    labels = {f"news{index}": sorted(set(rows["group"][:])) for index in range(NUM_TASKS)}
    suite = suite_of(NUM_TASKS, options.length)
    model = MultiTaskModel.from_backbone(str(CACHE / "minilm"), suite)
    model.set_labels(labels)
    singles = [model.to_single_task(task) for task in suite]
    batch = tokenizer(
        rows["body"][: options.batch_size],
        truncation=True,
        max_length=options.length,
        padding=True,
        return_tensors="pt",
    )

    def each() -> None:
        for single in singles:
            single(**batch)

    with torch.inference_mode():
        return timed(each), timed(lambda: model(**batch))


def timed(call: Callable[[], object], repetitions: int = 5) -> float:
    """Seconds of a call, averaged after one for warming up."""
    call()
    start = time.perf_counter()
    for _ in range(repetitions):
        call()
    return (time.perf_counter() - start) / repetitions


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12, help="measured steps of each training")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--length", type=int, default=64, help="tokens of every row")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(CACHE / "minilm")
    num_rows = options.batch_size * (options.steps + WARMUP_STEPS)
    rows = news(tokenizer, num_rows, options.length)
    share = options.batch_size // NUM_TASKS
    ways: dict[str, Callable[[], float]] = {
        "plain Trainer, one task": lambda: plain(rows, tokenizer, options),
        "one task": lambda: joint(rows, tokenizer, options, 1),
        f"{NUM_TASKS} tasks, one a step": lambda: joint(
            rows, tokenizer, options, NUM_TASKS, sampler="round_robin"
        ),
        f"{NUM_TASKS} tasks, all in a step, merged": lambda: joint(
            rows,
            tokenizer,
            options,
            NUM_TASKS,
            batch_size=share,
            tasks_per_step="all",
            batches="merged",
        ),
        f"{NUM_TASKS} tasks, all in a step, separate": lambda: joint(
            rows, tokenizer, options, NUM_TASKS, batch_size=share, tasks_per_step="all"
        ),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    passes: list[tuple[float, float]] = []
    for _ in range(options.rounds):
        for way, measure in ways.items():
            seconds[way].append(measure())
        passes.append(one_pass(rows, tokenizer, options))
    report(seconds, passes, options)


def ratio_cells(reference: list[float], seconds: list[float]) -> tuple[str, str]:
    """How much faster than a reference, round by round: the median, and the spread."""
    ratios = [first / own for first, own in zip(reference, seconds, strict=True)]
    return f"{statistics.median(ratios):.3f}", f"{min(ratios):.3f} to {max(ratios):.3f}"


def report(
    seconds: dict[str, list[float]],
    passes: list[tuple[float, float]],
    options: argparse.Namespace,
) -> None:
    """Prints rows a second, and every way against the first, round by round."""
    table = Table(title=f"{options.batch_size} rows of {options.length} tokens a step", box=None)
    for column in ("training", "rows a second", "against plain", "spread over rounds"):
        table.add_column(column, no_wrap=True)
    reference = next(iter(seconds.values()))
    for way, measured in seconds.items():
        rate = options.steps * options.batch_size / statistics.median(measured)
        table.add_row(way, f"{rate:.1f}", *ratio_cells(reference, measured))
    gains = [each / together for each, together in passes]
    console = Console(width=120)
    console.print(table)
    console.print(
        f"All {NUM_TASKS} heads in one pass against one model each: "
        f"{statistics.median(gains):.2f} times as fast ({min(gains):.2f} to {max(gains):.2f}); "
        f"{statistics.median(gains) / NUM_TASKS:.2f} of {NUM_TASKS}."
    )
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
