# SPDX-License-Identifier: Apache-2.0
"""Small files that are whole or not there."""

import os
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all; its folder must be there.

    Args:
        path: The file; one that is there is replaced.
        text: What it is to hold.
    """
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_text(text, "utf-8")
    os.replace(unfinished, path)
