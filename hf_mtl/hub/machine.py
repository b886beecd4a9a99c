# SPDX-License-Identifier: Apache-2.0
"""What a run ran on, as far as it explains its numbers and its duration."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

__all__ = ["library_versions", "machine_description"]

_DISTRIBUTIONS = ("hf-mtl", "transformers", "torch", "accelerate", "datasets", "tokenizers")


def machine_description() -> dict[str, str]:
    """Processor, cores, accelerators and operating system, in words."""
    description = {
        "processor": _processor(),
        "cores": f"{_num_usable_cores()} usable, {torch.get_num_threads()} threads",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        description["accelerators"] = ", ".join(names)
    return description


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a run's numbers depend on; what is not installed is left out.

    Example:
        >>> "torch" in library_versions()
        True
    """
    versions = {}
    for distribution in _DISTRIBUTIONS:
        try:
            versions[distribution] = version(distribution)
        except PackageNotFoundError:
            continue
    return versions


def _processor() -> str:
    # `platform.processor` is empty on most Linux systems.
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _num_usable_cores() -> int:
    """Cores that this process may use, which in a container are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
