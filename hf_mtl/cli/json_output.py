# SPDX-License-Identifier: Apache-2.0
"""Standard output that holds JSON and nothing else."""

import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from typing import Any

__all__ = ["progress_aside"]


def progress_aside(as_json: bool) -> AbstractContextManager[Any]:
    """Context in which what is printed on the way goes to standard error, if JSON is asked for.

    Args:
        as_json: Whether it is.
    """
    return redirect_stdout(sys.stderr) if as_json else nullcontext()
