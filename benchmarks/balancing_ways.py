# SPDX-License-Identifier: Apache-2.0
"""What `balancing.py` measures: on which batches, and by which ways to make a step."""

import importlib.util
from dataclasses import dataclass, field
from typing import Any

__all__ = ["EQUAL", "Setting", "Way", "ways_of"]

EQUAL = "equal weighting"
METHODS = {
    # One that needs whole gradients is among them.
    "merged": ("mean", "pcgrad", "mgda", "cagrad", "nash_mtl", "upgrad", "gradnorm", "graddrop"),
    # What a method does with the Gramian costs the same there.
    "separate": ("mean", "pcgrad"),
}
ENGINES_BESIDE = {
    "merged": ("grouped_twice", "streaming", "retained"),
    "separate": (),
    "shared": ("grouped", "streaming", "retained", "representation"),
}
UPDATE_EVERY = 10


@dataclass(frozen=True)
class Way:
    """A way to make a step.

    Attributes:
        given: What it adds to the arguments of the trainer.
        trainer: Name of a trainer of ``torchjd_trainers`` instead of our own.
        num_steps: Steps that are measured, if not as many as of the others.
        num_micro_batches: Parts into which it cuts the rows of a step.
    """

    given: dict[str, Any] = field(default_factory=dict)
    trainer: str | None = None
    num_steps: int | None = None
    num_micro_batches: int = 1


@dataclass(frozen=True)
class Setting:
    """What all ways of one table row group share.

    Attributes:
        batches: ``merged``, ``separate``, or ``shared``: all tasks on the same rows.
        tuning: ``full`` or ``lora``.
        num_tasks: Tasks.
        num_rows: Rows of a step in all (merged, shared), or of each batch (separate).
        length: Tokens of a row.
        processes: Processes.
        device: Kind of device.
    """

    batches: str
    tuning: str
    num_tasks: int
    num_rows: int
    length: int
    processes: int
    device: str

    @property
    def num_sources(self) -> int:
        """Sources of a step."""
        return 1 if self.batches == "shared" else self.num_tasks

    @property
    def batch_size(self) -> int:
        """Rows of a source that a process has in a step."""
        if self.batches == "separate":
            return self.num_rows
        return max(1, self.num_rows // (self.num_sources * self.processes))


def ways_of(batches: str, processes: int) -> dict[str, Way]:
    """Ways to measure on one kind of batches, equal weighting first."""

    def way(method: str, engine: str, **given: Any) -> Way:
        num_steps = UPDATE_EVERY if "gradient_update_every" in given else None
        asked = {"gradient_method": method, "gradient_engine": engine, **given}
        return Way(asked, num_steps=num_steps)

    found = {EQUAL: Way()}
    if batches in METHODS:
        engine = "grouped" if batches == "merged" else "streaming"
        found |= {f"{name}, {engine}": way(name, engine) for name in METHODS[batches]}
        found[f"pcgrad, {engine}, every {UPDATE_EVERY} steps"] = way(
            "pcgrad", engine, gradient_update_every=UPDATE_EVERY
        )
    if batches == "merged":
        found["pcgrad, grouped, last layer"] = way("pcgrad", engine, gradient_scope=1)
        found["modo, grouped"] = Way(way("modo", engine).given, num_micro_batches=2)
    for other in ENGINES_BESIDE[batches]:
        if other != "grouped_twice" or processes == 1:  # its second backward needs one process
            found[f"pcgrad, {other}"] = way("pcgrad", other)
    if batches == "merged" and importlib.util.find_spec("torchjd") and processes == 1:
        found["pcgrad, torchjd mtl_backward"] = Way(trainer="MTLBackwardTrainer")
        found["pcgrad, torchjd autogram"] = Way(trainer="AutogramTrainer")
    return found
