# SPDX-License-Identifier: Apache-2.0
"""The scripts of ``benchmarks``, as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["SCRIPTS", "load_script"]

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


def load_script(name: str) -> ModuleType:
    """A script as a module, without running it.

    Args:
        name: Its name, without ``.py``.
    """
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As the first entry while it is loaded, as it is for a script that is run.
    sys.path.insert(0, str(SCRIPTS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPTS))
    return module
