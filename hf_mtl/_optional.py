# SPDX-License-Identifier: Apache-2.0
"""Imports of packages that only some users need."""

import importlib
from types import ModuleType

__all__ = ["require"]


def require(module: str, *, extra: str) -> ModuleType:
    """Optional module, imported.

    Args:
        module: Import name, such as ``"evaluate"``.
        extra: The extra of this package that installs it.

    Raises:
        ImportError: If it is not installed; the message holds the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise ImportError(
            f"`{module}` is needed here but not installed. Run: pip install 'hf-mtl[{extra}]'."
        ) from error
