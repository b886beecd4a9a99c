# SPDX-License-Identifier: Apache-2.0
"""Rows a second under a token budget, next to the plain Trainer with dynamic padding.

Run: ``python benchmarks/throughput.py`` after ``make data``. Both see the same rows of news once,
cut off at the same length and else as long as they are, with the same encoder, in one process. They
take turns for several rounds; the table has the median over the rounds and their spread.

The budget is the tokens that a batch of the plain Trainer is padded to on average, so that the
gain is that of rows of like length together, and not that of larger batches.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from bench_training import CACHE, ratio_cells, shuffled_news, single_task, suite_of
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

from hf_mtl import MultiTaskModel, MultiTaskTrainer, MultiTaskTrainingArguments


def padded_tokens(lengths: Sequence[int], batch_size: int) -> float:
    """Tokens of a batch with its padding, on average over batches of rows in a random order.

    Example:
        >>> padded_tokens([1, 3, 2, 2], batch_size=2)
        5.0
    """
    starts = range(0, len(lengths), batch_size)
    batches = [lengths[start : start + batch_size] for start in starts]
    return sum(len(batch) * max(batch) for batch in batches) / len(batches)


def arguments(folder: str, options: argparse.Namespace) -> dict[str, Any]:
    """Arguments that both ways share."""
    return {
        "output_dir": folder,
        "num_train_epochs": 1,
        "per_device_train_batch_size": options.batch_size,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": 0,
    }


def plain(rows: Dataset, tokenizer: Any, options: argparse.Namespace) -> float:
    """Seconds of the plain Trainer."""
    encoded, model = single_task(rows, tokenizer, options.length)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(**arguments(folder, options)),
            train_dataset=encoded,
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        return seconds_of(trainer.train)


def budgeted(
    rows: Dataset, tokenizer: Any, options: argparse.Namespace, tokens: int | None
) -> float:
    """Seconds of the multi-task trainer with batches of that many tokens, or counted in rows."""
    suite = suite_of(1, options.length)
    with tempfile.TemporaryDirectory() as folder:
        trainer = MultiTaskTrainer(
            model=MultiTaskModel.from_backbone(str(CACHE / "minilm"), suite),
            args=MultiTaskTrainingArguments(**arguments(folder, options), batch_tokens=tokens),
            train_dataset=dict.fromkeys(suite, rows),
            processing_class=tokenizer,
        )
        trainer.get_train_dataloader()  # rows are encoded before, as those of the plain Trainer
        return seconds_of(trainer.train)


def seconds_of(call: Callable[[], object]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=16, help="rows where they are counted")
    parser.add_argument("--length", type=int, default=256, help="tokens of the longest row")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(CACHE / "minilm")
    rows = shuffled_news().select(range(options.rows))
    encoded = tokenizer(rows["body"][:], truncation=True, max_length=options.length)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    tokens = max(round(padded_tokens(lengths, options.batch_size)), options.length)
    ways: dict[str, Callable[[], float]] = {
        f"plain Trainer, {options.batch_size} rows a batch": lambda: plain(
            rows, tokenizer, options
        ),
        f"one task, {options.batch_size} rows a batch": lambda: budgeted(
            rows, tokenizer, options, None
        ),
        f"one task, {tokens:,} tokens a batch": lambda: budgeted(rows, tokenizer, options, tokens),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, measure in ways.items():
            seconds[way].append(measure())
    report(seconds, lengths)


def report(seconds: dict[str, list[float]], lengths: Sequence[int]) -> None:
    """Prints rows a second, and every way against the first, round by round."""
    table = Table(
        title=f"{len(lengths)} rows of {min(lengths)} to {max(lengths)} tokens, "
        f"{statistics.mean(lengths):.0f} on average",
        box=None,
    )
    for column in ("training", "rows a second", "against plain", "spread over rounds"):
        table.add_column(column, no_wrap=True)
    reference = next(iter(seconds.values()))
    for way, measured in seconds.items():
        rate = len(lengths) / statistics.median(measured)
        table.add_row(way, f"{rate:.1f}", *ratio_cells(reference, measured))
    console = Console(width=120)
    console.print(table)
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
