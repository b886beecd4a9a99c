# SPDX-License-Identifier: Apache-2.0
"""Parts of a run that remember tensors: files of their own in a checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["GRADIENT_MEMORY_FILE", "TensorPart", "load_tensor_files", "save_tensor_files"]

GRADIENT_MEMORY_FILE = "gradient_memory.safetensors"


class TensorPart(Protocol):
    """A part of a run that remembers tensors, which are the same on every rank."""

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The tensors by name, and texts that say what they are."""

    def load(self, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
        """Takes them back, on every rank.

        Args:
            tensors: The tensors, on the host.
            about: The texts.
        """


def save_tensor_files(parts: Mapping[str, TensorPart], folder: Path) -> None:
    """Writes the file of each part.

    Args:
        parts: The parts, by the name of their file.
        folder: The checkpoint.
    """
    for name, part in parts.items():
        tensors, about = part.tensors()
        save_file(tensors, folder / name, metadata=about)


def load_tensor_files(parts: Mapping[str, TensorPart], folder: Path) -> None:
    """Gives each part its tensors back.

    Args:
        parts: The parts, by the name of their file.
        folder: The checkpoint.

    Raises:
        ValueError: If a file is missing or damaged.
    """
    for file_name, part in parts.items():
        file = folder / file_name
        if not file.is_file():
            raise ValueError(
                f"The checkpoint {str(folder)!r} must hold {file_name!r}, without which the run "
                f"cannot go on from it, but it does not. Use an earlier checkpoint, or start anew "
                f"from its weights with `MultiTaskModel.from_pretrained`."
            )
        try:
            with safe_open(file, framework="pt") as saved:
                names = saved.keys()
                tensors = {name: saved.get_tensor(name) for name in names}
                about = saved.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"The checkpoint file {str(file)!r} must be whole, but it cannot be read: {error}. "
                f"Use an earlier checkpoint."
            ) from error
        part.load(tensors, about)
