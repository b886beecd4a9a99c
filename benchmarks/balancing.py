# SPDX-License-Identifier: Apache-2.0
"""What gradient methods cost: step time and memory of each engine, next to equal weighting.

Run: ``python benchmarks/balancing.py`` after ``make data``; ``--quick`` only shows that it runs.
The encoder and the rows of news are those of the quickstart: each task has a share of the rows for
its own, cut to the same number of tokens, and tells the 20 groups apart by their real labels. A
step is timed from its forward to the end of the optimizer's step, in the trainer's own training.
All ways of one kind take turns in one process (or in two), for several rounds; a ratio is to equal
weighting on the same batches in the same round. Merged batches have a fixed number of rows in all,
separate ones for each task, and shared ones (``--batches shared``) are rows with the labels of all
tasks. Methods that compare micro-batches have the rows of a step in two of them.

Memory is what tensors have at once beyond equal weighting, in two steps from a new model: counted
by torch's allocator, in bytes and as a number of copies of the gradient of the shared parameters.

Where ``torchjd`` is installed, its two ways of obtaining task gradients are measured as well; with
``--tuning lora`` and ``peft``, adapters of rank 8 on queries and values are trained instead.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from allocated_memory import peak_bytes
from balancing_ways import EQUAL, Setting, Way, ways_of
from bench_training import CACHE, news, suite_of
from child_processes import in_child
from datasets.utils.logging import disable_progress_bar
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer, PrinterCallback, TrainerCallback
from transformers.utils import logging

from hf_mtl import MultiTaskModel, MultiTaskTrainer, MultiTaskTrainingArguments
from hf_mtl.data import SourceCollection, find_labels, prepare
from hf_mtl.tasks import TaskSuite

ENCODER = CACHE / "minilm"
WARMUP_STEPS = 2


class StepTimes(TrainerCallback):  # type: ignore[misc]  # untyped base
    """Seconds of each step, its data not counted."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Starts the clock."""
        _wait_for_device()
        self._start = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stops the clock."""
        _wait_for_device()
        self.seconds.append(time.perf_counter() - self._start)


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def model_of(tuning: str, suite: TaskSuite) -> MultiTaskModel:
    """The model, of whose encoder all is trained, or adapters only."""
    model: MultiTaskModel = MultiTaskModel.from_backbone(str(ENCODER), suite)
    if tuning == "lora":
        from peft import LoraConfig, inject_adapter_in_model

        # Into the finished model: one that is built on adapters freezes them, as parameters that
        # the encoder's own class does not have.
        config = LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"])
        inject_adapter_in_model(config, model.backbone)
        for name, parameter in model.backbone.named_parameters():
            parameter.requires_grad = "lora_" in name
    return model


def num_shared(model: MultiTaskModel) -> int:
    """Trained parameters that all tasks share."""
    return sum(each.numel() for each in model.backbone.parameters() if each.requires_grad)


@dataclass(frozen=True)
class Case:
    """A setting with its data, on which ways are measured."""

    setting: Setting
    suite: TaskSuite
    rows: SourceCollection
    tokenizer: Any

    def trainer(self, way: Way, num_steps: int, folder: str) -> tuple[MultiTaskTrainer, StepTimes]:
        """A trainer of a new model, and the times of the steps that it will make."""
        trainer_class = MultiTaskTrainer
        if way.trainer is not None:
            import torchjd_trainers

            trainer_class = getattr(torchjd_trainers, way.trainer)
        times = StepTimes()
        trainer = trainer_class(
            model=model_of(self.setting.tuning, self.suite),
            args=MultiTaskTrainingArguments(
                output_dir=folder,
                max_steps=num_steps,
                tasks_per_step="all",
                batches="merged" if self.setting.batches == "merged" else "separate",
                per_device_train_batch_size=max(
                    1, self.setting.batch_size // way.num_micro_batches
                ),
                gradient_accumulation_steps=way.num_micro_batches,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                logging_steps=10_000,
                use_cpu=self.setting.device == "cpu",
                seed=0,
                **way.given,
            ),
            train_dataset=self.rows,
            processing_class=self.tokenizer,
            callbacks=[times],
        )
        trainer.remove_callback(PrinterCallback)
        return trainer, times

    def step_seconds(self, way: Way, num_steps: int) -> float:
        """Seconds of a step: the median, or the mean where steps are not alike."""
        num_steps = way.num_steps or num_steps
        with tempfile.TemporaryDirectory() as folder:
            trainer, times = self.trainer(way, WARMUP_STEPS + num_steps, folder)
            trainer.train()
        seconds = times.seconds[WARMUP_STEPS:]
        return statistics.mean(seconds) if way.num_steps else statistics.median(seconds)

    def peak_bytes(self, way: Way) -> int:
        """The most memory of two steps, beyond that of the model."""
        with tempfile.TemporaryDirectory() as folder:
            trainer, _ = self.trainer(way, 2, folder)
            return peak_bytes(trainer.train)


def case_of(setting: Setting, num_steps: int) -> Case:
    """Rows of each task, encoded once for all ways."""
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    rows_a_step = setting.batch_size * setting.num_sources * setting.processes
    # An epoch that ends begins again, so that few rows will do.
    rows = news(tokenizer, rows_a_step * min(num_steps, 4), setting.length)
    suite = suite_of(setting.num_tasks, setting.length)
    if setting.batches == "shared":
        suite = TaskSuite({task: spec.replace(source="news") for task, spec in suite.items()})
    sources = list(suite.sources)
    suite = find_labels(suite, dict.fromkeys(sources, rows))
    shares = {source: rows.shard(len(sources), index) for index, source in enumerate(sources)}
    return Case(setting, suite, prepare(suite, shares, tokenizer), tokenizer)


def measure(
    setting: dict[str, Any], names: list[str], num_steps: int, rounds: int
) -> dict[str, Any]:
    """Seconds of a step of each way in each round, and its memory; or why it failed.

    Args:
        setting: Fields of a ``Setting``.
        names: The ways, equal weighting among them.
        num_steps: Steps that are measured.
        rounds: Rounds in which the ways take turns.
    """
    disable_progress_bar()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    case = case_of(Setting(**setting), num_steps)
    every = ways_of(case.setting.batches, case.setting.processes)
    ways = {name: every[name] for name in names}
    shared = num_shared(model_of(case.setting.tuning, case.suite))
    found: dict[str, Any] = {name: {"seconds": [], "error": ""} for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            if found[name]["error"]:
                continue
            try:
                found[name]["seconds"].append(case.step_seconds(way, num_steps))
            except Exception as error:
                # Two processes would wait for each other for ever.
                if case.setting.processes > 1:
                    raise
                found[name]["error"] = f"{type(error).__name__}: {error}"[:300]
    for name, way in ways.items():
        if not found[name]["error"]:
            found[name]["bytes"] = case.peak_bytes(way)
    return {"shared": shared, "ways": found}


def add_rows(table: Table, setting: Setting, measured: dict[str, Any]) -> None:
    """Adds a row for each way."""
    reference = measured["ways"][EQUAL]
    for name, found in measured["ways"].items():
        start = [
            setting.batches,
            setting.tuning,
            str(setting.processes),
            str(setting.num_tasks),
            name,
        ]
        if found["error"]:
            table.add_row(*start, "-", "failed", found["error"][:60], "", "")
            continue
        pairs = zip(found["seconds"], reference["seconds"], strict=True)
        ratios = [own / equal for own, equal in pairs]
        extra = found["bytes"] - reference["bytes"]
        table.add_row(
            *start,
            f"{1000 * statistics.median(found['seconds']):.0f}",
            f"{statistics.median(ratios):.3f}",
            f"{min(ratios):.3f} to {max(ratios):.3f}",
            f"{extra / 2**20:.1f}",
            f"{extra / (4 * measured['shared']):.2f}",
        )


def new_table(options: argparse.Namespace) -> Table:
    """The table, without rows."""
    title = (
        f"Merged: {options.rows} rows of {options.length} tokens in all; "
        f"separate: {options.separate_rows} rows of {options.length} for each task and process"
    )
    table = Table(title=title, box=None)
    for column in ("batches", "tuning", "processes", "tasks", "way", "ms a step"):
        table.add_column(column, no_wrap=True)
    for column in ("against equal", "spread over rounds", "MiB beyond equal", "in gradients"):
        table.add_column(column, no_wrap=True)
    return table


def settings_of(options: argparse.Namespace) -> Iterable[Setting]:
    """All settings that are asked for."""
    for processes in options.processes:
        for tuning in options.tuning:
            for batches in options.batches:
                num_rows = options.separate_rows if batches == "separate" else options.rows
                for num_tasks in options.tasks:
                    yield Setting(
                        batches,
                        tuning,
                        num_tasks,
                        num_rows,
                        options.length,
                        processes,
                        options.device,
                    )


def chosen_ways(setting: Setting, wanted: list[str] | None) -> list[str]:
    """Names of the ways to measure: equal weighting, and all or those with a wanted word."""
    names = list(ways_of(setting.batches, setting.processes))
    if wanted is None:
        return names
    return [name for name in names if name == EQUAL or any(word in name for word in wanted)]


def parsed() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="measured steps of each training")
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--batches", nargs="+", default=["merged", "separate", "shared"])
    parser.add_argument("--tuning", nargs="+", default=["full"], help="full, lora")
    parser.add_argument("--processes", type=int, nargs="+", default=[1])
    parser.add_argument("--rows", type=int, default=64, help="of a merged or shared batch")
    parser.add_argument("--separate-rows", type=int, default=32, help="of a separate batch")
    parser.add_argument("--length", type=int, default=64, help="tokens of every row")
    parser.add_argument("--ways", nargs="+", help="words of the ways to measure; all, if left out")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="one round of very little")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.steps, options.tasks = 1, 1, [2]
        options.rows, options.separate_rows, options.length = 4, 2, 8
        options.ways = options.ways or ["mean", "modo", "twice", "representation", "mtl_backward"]
    return options


def main() -> None:
    """Measures and prints the table."""
    options = parsed()
    if options.child:
        # Nothing but the answer goes to the standard output.
        with contextlib.redirect_stdout(io.StringIO()):
            measured = measure(**json.loads(options.child))
        print(json.dumps(measured))
        return
    table = new_table(options)
    threads = os.cpu_count() or 1
    for setting in settings_of(options):
        names = chosen_ways(setting, options.ways)
        values = {
            "setting": vars(setting),
            "names": names,
            "num_steps": options.steps,
            "rounds": options.rounds,
        }
        own = max(1, threads // setting.processes)
        if options.quick and setting.processes == 1:
            measured = measure(**values)
        else:
            measured = in_child(__file__, values, processes=setting.processes, threads=own)
        print(json.dumps({**vars(setting), **measured}), flush=True)
        add_rows(table, setting, measured)
    console = Console(width=190)
    console.print(table)
    console.print(f"torch {torch.__version__}, {threads} cores shared by the processes.")


if __name__ == "__main__":
    main()
