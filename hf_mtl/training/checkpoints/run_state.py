# SPDX-License-Identifier: Apache-2.0
"""What a multi-task run keeps in a checkpoint beyond what transformers does, and its format.

Format 0 was ``mixture.json`` alone. Format 1 is ``multitask_state.json``, written last: a folder
without it was not saved to its end.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from transformers.utils import CONFIG_NAME

__all__ = ["REPLICATED", "RUN_STATE_FILE", "RunState", "has_run_state"]

RUN_STATE_FILE = "multitask_state.json"
REPLICATED = "replicated"
"""Strategy in which every rank holds the whole model: one process, or DDP."""

_FORMAT = 1
_FORMAT_0_FILE = "mixture.json"


@dataclass(frozen=True)
class RunState:
    """State of a run, beside model, optimizer and scheduler.

    Args:
        mixture: What decides which rows come when.
        step: Optimizer steps that were done.
        tasks: Names of the tasks; ``None`` where an older format does not say.
        parameter_names: Names of the optimizer's parameters, by its groups; ``None`` where an
            older format does not say.
        world_size: Number of ranks.
        strategy: How the ranks share the model: ``"replicated"``, ``"fsdp"`` or ``"deepspeed"``.
        files: Size of each other file of the checkpoint, in bytes.
        parts: State of everything else that has one, by its name.
    """

    mixture: Mapping[str, Any]
    step: int = 0
    tasks: Sequence[str] | None = None
    parameter_names: Sequence[Sequence[str]] | None = None
    world_size: int = 1
    strategy: str = REPLICATED
    files: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes the state into a checkpoint that has all its other files."""
        own = {"format": _FORMAT, **asdict(self)}
        parts = own.pop("parts")
        if taken := sorted(own.keys() & parts.keys()):
            raise ValueError(
                f"`_stateful_parts` must use names of its own, but {taken} are taken. Rename them."
            )
        text = json.dumps({**own, **parts}, indent=1)
        (folder / RUN_STATE_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "RunState":
        """State of a checkpoint, of this format or an older one.

        Raises:
            ValueError: If the file is damaged, or of a newer format.
        """
        if not (folder / RUN_STATE_FILE).is_file():
            return cls._migrated_from_0(folder)
        saved = _json(folder / RUN_STATE_FILE)
        found = saved.pop("format", None)
        if found != _FORMAT:
            raise ValueError(
                f"The checkpoint {str(folder)!r} must be of format {_FORMAT} or older, but it is "
                f"of format {found}. It was saved by a newer hf_mtl: upgrade hf_mtl to resume "
                f"from it."
            )
        names = {each.name for each in fields(cls)} - {"parts"}
        own = {name: saved.pop(name) for name in names & saved.keys()}
        return cls(**own, parts=saved)

    @classmethod
    def _migrated_from_0(cls, folder: Path) -> "RunState":
        # It knew one process and data sets in memory only, and left the tasks to the model.
        mixture = {
            **_json(folder / _FORMAT_0_FILE),
            "streams": [],
            "stream_shuffle_rows": None,
        }
        config = folder / CONFIG_NAME
        if not config.is_file():
            return cls(mixture)
        return cls(mixture, tasks=[task["name"] for task in _json(config)["tasks"]])


def has_run_state(folder: Path) -> bool:
    """Whether a folder holds the state of a run, of any format."""
    return any((folder / name).is_file() for name in (RUN_STATE_FILE, _FORMAT_0_FILE))


def _json(file: Path) -> dict[str, Any]:
    try:
        saved: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"The checkpoint file {str(file)!r} must be whole, but it cannot be read: {error}. "
            f"Use an earlier checkpoint."
        ) from error
    return saved
