# SPDX-License-Identifier: Apache-2.0
"""The configurations of accelerate that come along, and those of users."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from hf_mtl._checks import check_known
from hf_mtl._yaml import load_yaml

__all__ = ["PACKAGED", "Strategy", "read_strategy"]

_FOLDER = Path(str(files("hf_mtl.cli.launching"))) / "configs"
PACKAGED = ("ddp", "fsdp2", "zero1", "zero2", "zero3")
"""Names of the configurations that come along."""

_NEEDS_ACCELERATOR = frozenset({"FSDP", "DEEPSPEED", "MEGATRON_LM", "XLA"})


@dataclass(frozen=True)
class Strategy:
    """How a model is spread over processes: one configuration of ``accelerate``.

    Attributes:
        name: What the user called it: a packaged name, or a file.
        file: Where it stands.
        content: What stands there.
    """

    name: str
    file: Path
    content: dict[str, Any]

    @property
    def needs_accelerator(self) -> bool:
        """Whether accelerate would run something else on a machine without an accelerator."""
        return self.content.get("distributed_type") in _NEEDS_ACCELERATOR

    @property
    def is_for_cpu(self) -> bool:
        """Whether it asks for the CPU, whatever else there is."""
        return bool(self.content.get("use_cpu")) or (
            self.content.get("distributed_type") == "MULTI_CPU"
        )


def read_strategy(name: str) -> Strategy:
    """Strategy of that name.

    Args:
        name: One of ``PACKAGED``, or a YAML file such as ``accelerate config`` writes.

    Raises:
        KeyError: If there is no such configuration; the message has the nearest name.
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no configuration of accelerate.
    """
    file = Path(name)
    if file.suffix not in (".yaml", ".yml", ".json"):
        check_known("launch configuration", name, PACKAGED)
        file = _FOLDER / f"{name}.yaml"
    if not file.is_file():
        raise FileNotFoundError(
            f"`--config` must be one of {PACKAGED} or a file, but there is none called {name!r}."
        )
    content = load_yaml(file.read_text(encoding="utf-8"), origin=name)
    if not isinstance(content, dict) or "compute_environment" not in content:
        raise ValueError(
            f"`--config` must be a configuration of accelerate, with `compute_environment` in it, "
            f"but {name!r} is none. Write one with `accelerate config --config_file {name}`."
        )
    if _fsdp_version(content) == 1:
        raise ValueError(
            f"`fsdp_version` must be 2, but {name!r} has 1. The flat parameters of FSDP1 would let "
            f"the optimizer move the heads of tasks that are absent from a step. Use `--config "
            f"fsdp2`."
        )
    return Strategy(name=name, file=file, content=content)


def _fsdp_version(content: dict[str, Any]) -> int | None:
    """Version of FSDP that accelerate would take: 1 unless the file says otherwise."""
    if content.get("distributed_type") != "FSDP":
        return None
    return int((content.get("fsdp_config") or {}).get("fsdp_version", 1))
