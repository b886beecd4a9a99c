# SPDX-License-Identifier: Apache-2.0
"""What a run gave, in a file beside its model, from which the card is written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hf_mtl._checks import unknown_name
from hf_mtl._files import write_whole
from hf_mtl._numbers import finite_or_none
from hf_mtl.tasks import TaskSuite

__all__ = ["RESULTS_FILE", "RunResults"]

RESULTS_FILE = "results.json"

_ROW_FIELDS = ("task", "type", "source", "num_rows", "metric", "value", "baseline")


@dataclass(frozen=True)
class RunResults:
    """Numbers of one run, and what is needed to understand and repeat them. Plain values only.

    Args:
        suite: The tasks, with their labels.
        results: One row a metric of a task: ``task``, ``type``, ``source``, ``num_rows``,
            ``metric``, ``value``, ``baseline``, ``greater_is_better``. A value that is not a finite
            number becomes ``None``, because JSON has no word for it.
        backbone: Name or folder of the pretrained backbone.
        seed: Seed of the run.
        num_parameters: Parameters of the whole model.
        num_train_rows: Rows trained on, by source.
        settings: What the user chose, by section, such as
            ``{"mixture": {...}, "training": {...}}``.
        seconds: Durations by what took them, such as ``{"training": 430.0}``.
        machine: What it ran on, in words by what they describe.
        versions: Versions of libraries.
        data: Where rows and weights come from: for each origin ``name``, ``version``, ``license``,
            ``sha256`` and ``content``, as far as known.
        command: The command that repeats the run.
    """

    suite: TaskSuite
    results: Sequence[Mapping[str, Any]]
    backbone: str
    seed: int
    num_parameters: int | None = None
    num_train_rows: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    data: Sequence[Mapping[str, Any]] = field(default_factory=list)
    command: str | None = None

    def __post_init__(self) -> None:
        rows = [
            {name: finite_or_none(value) for name, value in row.items()} for row in self.results
        ]
        object.__setattr__(self, "results", rows)
        for row in self.results:
            if missing := [name for name in _ROW_FIELDS if name not in row]:
                raise ValueError(
                    f"`results` must have {list(_ROW_FIELDS)} in every row, but {missing} are "
                    f"missing in {dict(row)}."
                )

    def to_json(self) -> str:
        """JSON text.

        Raises:
            ValueError: If a number among the settings or durations is not finite.
        """
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        plain["suite"] = self.suite.to_list()
        return json.dumps(plain, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunResults":
        """Inverse of ``to_json``.

        Raises:
            ValueError: If the text is no JSON or no mapping, or a field is unknown or missing.
        """
        try:
            given = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{RESULTS_FILE} must be JSON, but: {error}.") from error
        if not isinstance(given, Mapping):
            raise ValueError(f"{RESULTS_FILE} must hold a mapping, but got {given!r}.")
        known = [item.name for item in fields(cls)]
        for name in given:
            if name not in known:
                raise ValueError(unknown_name(f"field of {RESULTS_FILE}", name, known))
        if missing := sorted({"suite", "results", "backbone", "seed"} - given.keys()):
            raise ValueError(f"{RESULTS_FILE} must have {missing}, but got {sorted(given)}.")
        return cls(**{**given, "suite": TaskSuite.from_list(given["suite"])})

    def save(self, folder: str | Path) -> Path:
        """Writes ``results.json`` into a folder, whole or not at all; returns its path."""
        path = Path(folder) / RESULTS_FILE
        write_whole(path, self.to_json())
        return path

    @classmethod
    def load(cls, folder: str | Path) -> "RunResults":
        """Reads ``results.json`` of a run's folder.

        Raises:
            FileNotFoundError: If the folder has none.
            ValueError: If the file is not what ``save`` writes.
        """
        path = Path(folder) / RESULTS_FILE
        if not path.exists():
            raise FileNotFoundError(
                f"`folder` must hold the {RESULTS_FILE} of a run, but {str(folder)!r} has none. "
                f"`hf-mtl train` writes it at the end."
            )
        return cls.from_json(path.read_text("utf-8"))
