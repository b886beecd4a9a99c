# SPDX-License-Identifier: Apache-2.0
"""Two digits in one picture: every weighting and every gradient method next to equal weighting.

Run: ``python benchmarks/two_digits.py``; ``--quick`` only shows that it runs. A picture is made of
two digits of scikit-learn that overlap; one task reads the left one, the other the right one. All
ways train the same small vision transformer from the same seeds, with the defaults of the library
for everything that is theirs. Tuned static weights are those of a few that do best on a validation
split, seed by seed. Whether a way helps is the difference of its mean test accuracy over both tasks
to equal weighting, by seed, against its 95 % interval.

Source:
    The task is that of Sabour et al. 2017, "Dynamic Routing Between Capsules", and of Sener and
    Koltun 2018, "Multi-Task Learning as Multi-Objective Optimization", section 5.1, who use MNIST.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from PIL import Image
from rich.console import Console
from scipy.stats import t as student
from sklearn.datasets import load_digits
from transformers import PrinterCallback, ViTConfig, ViTImageProcessor, ViTModel, set_seed
from transformers.utils import logging

from hf_mtl import (
    MultiTaskModel,
    MultiTaskTrainer,
    MultiTaskTrainingArguments,
    TaskSpec,
    TaskSuite,
)
from hf_mtl.gradients import GRADIENT_METHODS
from hf_mtl.weighting import WEIGHTINGS

RESULTS = Path(__file__).parent / "results" / "two_digits.json"
TASKS = ("left", "right")
SIDE, SHIFT = 8, 4
SIZE = SIDE + SHIFT
EQUAL = "equal weighting"
TUNED = "tuned static weights"
STATIC = {f"static {left:g} : 1": left for left in (1 / 3, 1 / 2, 2.0, 3.0)}

Scores = dict[str, float]


def overlap(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two digits in one picture, the first above on the left: two ``[8, 8]`` -> ``[12, 12]``.

    Where they overlap, the picture has the brighter of the two.
    """
    picture = np.zeros((SIZE, SIZE), dtype=left.dtype)
    picture[:SIDE, :SIDE] = left
    corner = picture[SHIFT:, SHIFT:]
    np.maximum(corner, right, out=corner)
    return picture


def pictures(digits: np.ndarray, names: np.ndarray, number: int, seed: int) -> Dataset:
    """Pictures of pairs of digits that are drawn at random.

    Args:
        digits: The digits, ``[N, 8, 8]``, from 0 to 16.
        names: Which digits they are, ``[N]``.
        number: Number of pictures.
        seed: Seed of the draws.
    """
    pairs = np.random.default_rng(seed).integers(len(digits), size=(number, 2))
    bright = (digits * 255 / 16).astype(np.uint8)
    return Dataset.from_dict(
        {
            "image": [Image.fromarray(overlap(bright[a], bright[b])) for a, b in pairs],
            **{task: names[pairs[:, i]].tolist() for i, task in enumerate(TASKS)},
        }
    )


def splits(options: argparse.Namespace) -> dict[str, Dataset]:
    """Pictures to train on, to choose by and to test on, of digits that no two of them share."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    held = len(order) // 4
    parts = {"test": order[:held], "validation": order[held : 2 * held], "train": order[2 * held :]}
    sizes = {"test": options.held_out, "validation": options.held_out, "train": options.pictures}
    return {
        name: pictures(digits.images[part], digits.target[part], sizes[name], seed)
        for seed, (name, part) in enumerate(parts.items())
    }


def ways(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What each way of weighing adds to the arguments of the trainer."""
    weightings: dict[str, dict[str, Any]] = {}
    for name in WEIGHTINGS.names():
        if name == "static":  # equal weighting, by another name
            continue
        entry: Any = name
        if name == "stch":  # its default is in epochs, and this run has few
            entry = {"name": name, "warmup_steps": max(1, options.steps // 10)}
        weightings[name] = {"weighting": entry}
        if WEIGHTINGS.build(entry).needs_evaluation:
            every = max(1, options.steps // 10)
            weightings[name] |= {"eval_strategy": "steps", "eval_steps": every}
    methods = {}
    for name in GRADIENT_METHODS.names():
        # Some need several batches a step: the rows of one are dealt out to them.
        num_batches = GRADIENT_METHODS.build(name).num_batches
        methods[name] = {
            "gradient_method": name,
            "gradient_accumulation_steps": num_batches,
            "per_device_train_batch_size": options.batch_size // num_batches,
        }
    return {EQUAL: {}, **{name: {} for name in STATIC}, **weightings, **methods}


def suite_of(left: float) -> TaskSuite:
    """The two tasks, the first with a weight relative to the second."""
    weight_by_task = {"left": left, "right": 1.0}
    return TaskSuite(
        {
            task: TaskSpec(
                "image-classification",
                columns={"label": task},
                source="digits",
                labels=tuple(map(str, range(10))),
                weight=weight_by_task[task],
            )
            for task in TASKS
        }
    )


def new_model(suite: TaskSuite, seed: int) -> MultiTaskModel:
    """A small vision transformer that knows nothing yet."""
    set_seed(seed)
    config = ViTConfig(
        image_size=SIZE,
        patch_size=3,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
    )
    return MultiTaskModel.from_backbone(ViTModel(config), suite)


def run(way: str, seed: int, given: Mapping[str, Any], options: argparse.Namespace) -> Scores:
    """Mean accuracy over both tasks after training, on the validation and the test split."""
    torch.set_num_threads(options.threads)
    logging.set_verbosity_error()
    disable_progress_bar()
    rows = splits(options)
    suite = suite_of(STATIC.get(way, 1.0))
    with tempfile.TemporaryDirectory() as folder:
        trainer = MultiTaskTrainer(
            model=new_model(suite, seed),
            args=MultiTaskTrainingArguments(
                output_dir=folder,
                max_steps=options.steps,
                per_device_eval_batch_size=250,
                learning_rate=options.lr,
                lr_scheduler_type="cosine",
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                logging_steps=10_000,
                use_cpu=True,
                seed=seed,
                **{"per_device_train_batch_size": options.batch_size, **given},
            ),
            train_dataset={"digits": rows["train"]},
            eval_dataset={"digits": rows["validation"]},
            processing_class=ViTImageProcessor(do_resize=False, size=[SIZE, SIZE]),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        scores = {}
        for split in ("validation", "test"):
            found = trainer.evaluate({"digits": rows[split]})
            scores[split] = statistics.mean(found[f"eval_{task}_accuracy"] for task in TASKS)
    return scores


def run_all(options: argparse.Namespace) -> dict[str, list[Scores]]:
    """Scores of each way, a pair of them for each seed."""
    cells = {
        (way, seed): given
        for seed in range(options.seeds)
        for way, given in ways(options).items()
        if not options.ways or way == EQUAL or way in options.ways
    }
    found: dict[tuple[str, int], Scores] = {}
    if options.jobs == 1:
        found = {cell: run(*cell, given, options) for cell, given in cells.items()}
    else:
        with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
            started = {
                cell: pool.submit(run, *cell, given, options) for cell, given in cells.items()
            }
            found = {cell: future.result() for cell, future in started.items()}
    by_way: dict[str, list[Scores]] = {}
    for (way, _), scores in found.items():
        by_way.setdefault(way, []).append(scores)
    return by_way


def with_tuned(by_way: Mapping[str, list[Scores]]) -> dict[str, list[Scores]]:
    """Scores with tuned static weights in place of each static weight that was tried."""
    tried = [by_way[way] for way in (EQUAL, *STATIC) if way in by_way]
    tuned = [
        max(each, key=lambda scores: scores["validation"]) for each in zip(*tried, strict=True)
    ]
    others = {way: each for way, each in by_way.items() if way not in (EQUAL, *STATIC)}
    return {EQUAL: by_way[EQUAL], TUNED: tuned, **others}


def compared(own: Sequence[float], reference: Sequence[float]) -> tuple[float, float, str]:
    """Mean difference by seed, half the width of its 95 % interval, and what it says.

    Args:
        own: Accuracy of a way for each seed.
        reference: Accuracy of equal weighting for the same seeds.
    """
    differences = [a - b for a, b in zip(own, reference, strict=True)]
    mean = statistics.mean(differences)
    if len(differences) < 2:
        return mean, float("inf"), "one seed says nothing"
    spread = statistics.stdev(differences) / len(differences) ** 0.5
    half = float(student.ppf(0.975, len(differences) - 1)) * spread
    if abs(mean) <= half or mean == 0:
        return mean, half, "within noise"
    return mean, half, "helps" if mean > 0 else "hurts"


def report(by_way: Mapping[str, Sequence[Scores]]) -> tuple[list[str], list[dict[str, Any]]]:
    """A table in Markdown, and the same as plain values."""
    tests = {way: [scores["test"] for scores in each] for way, each in by_way.items()}
    lines = [
        "| way | test accuracy | spread over seeds | difference to equal | 95 % interval | says |",
        "|---|---|---|---|---|---|",
    ]
    rows = []
    for way, own in tests.items():
        spread = statistics.stdev(own) if len(own) > 1 else 0.0
        mean = statistics.mean(own)
        difference, half, verdict = compared(own, tests[EQUAL])
        row: dict[str, Any] = {"way": way, "mean": mean, "spread": spread, "test": own}
        cells = ["", "", ""]
        if way != EQUAL:
            cells = [f"{100 * difference:+.2f}", f"± {100 * half:.2f}", verdict]
            # JSON has no infinity.
            half_or_none = half if half < float("inf") else None
            row |= {"difference": difference, "half_width": half_or_none, "says": verdict}
        rows.append(row)
        lines.append(
            f"| {way} | {100 * mean:.2f} | {100 * spread:.2f} | " + " | ".join(cells) + " |"
        )
    return lines, rows


def verdicts(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the table says, in words."""
    said: dict[str, list[str]] = {"helps": [], "hurts": [], "within noise": []}
    for row in rows:
        if row.get("says") in said:
            said[row["says"]].append(row["way"])
    parts = [f"{verdict}: {', '.join(each) or 'none'}" for verdict, each in said.items()]
    by_chance = 0.05 * sum(map(len, said.values()))
    return (
        f"{'; '.join(parts)}. Where nothing differs, about {by_chance:.1f} of them would still "
        f"stand outside their interval by chance."
    )


def main() -> None:
    """Trains all ways, prints the table and writes it down."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--pictures", type=int, default=4000, help="to train on")
    parser.add_argument(
        "--held-out", type=int, default=1500, help="pictures to choose by, to test on"
    )
    parser.add_argument("--ways", nargs="*", help="some of them only, next to equal weighting")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the numbers go")
    parser.add_argument("--quick", action="store_true", help="a few steps of few ways")
    options = parser.parse_args()
    if options.quick:
        options.steps, options.seeds, options.jobs, options.batch_size = 2, 1, 1, 8
        options.pictures, options.held_out = 40, 20
        options.ways = ["static 2 : 1", "uncertainty", "pcgrad"]
    began = time.perf_counter()
    lines, rows = report(with_tuned(run_all(options)))
    console = Console(width=140, soft_wrap=True)
    for line in (*lines, "", verdicts(rows)):
        console.print(line, markup=False, highlight=False)
    seconds = time.perf_counter() - began
    console.print(
        f"{options.seeds} seeds, {options.steps} steps of {options.batch_size} pictures. "
        f"{seconds:.0f} s; torch {torch.__version__}, {os.cpu_count()} cores."
    )
    settings = ("seeds", "steps", "batch_size", "lr", "pictures", "held_out")
    content = {name: getattr(options, name) for name in settings} | {"ways": rows}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
