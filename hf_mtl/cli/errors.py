# SPDX-License-Identifier: Apache-2.0
"""What a user sees of an error: one block of text, and an exit code."""

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from hf_mtl._checks import message_of
from hf_mtl.cli.ranks import num_ranks, rank

__all__ = ["FAILED", "WRONG_INPUT", "readable_errors"]

WRONG_INPUT = 2
"""Exit code where the user can put it right: a recipe, a file, an option, a missing extra."""
FAILED = 1
"""Exit code of any other error."""

_WRONG_INPUT_ERRORS = (ValueError, TypeError, LookupError, ImportError, OSError)
_PASSED_ON = (typer.Exit, typer.Abort, typer.BadParameter)
# Most errors meet all processes alike. The launcher ends the others once the first has failed.
_SECONDS_FOR_THE_FIRST = 5.0

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def readable_errors(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A command whose errors end in a readable block on standard error instead of a traceback.

    Of several processes with the same error the first one says it.

    Args:
        command: The command; with its option ``debug``, errors pass unchanged.
    """

    @functools.wraps(command)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except _PASSED_ON:
            raise
        except Exception as error:
            if kwargs.get("debug"):
                raise
            if rank() > 0:
                time.sleep(_SECONDS_FOR_THE_FIRST)
            whose = f"Error on rank {rank()} of {num_ranks()}: " if rank() > 0 else "Error: "
            # Soft-wrapped and without markup: paths stay whole, square brackets stay text.
            Console(stderr=True).print(
                Text(whose, style="bold red") + Text(_message(error), style="default"),
                soft_wrap=True,
            )
            raise typer.Exit(_exit_code(error)) from error

    return guarded


def _exit_code(error: Exception) -> int:
    return WRONG_INPUT if isinstance(error, _WRONG_INPUT_ERRORS) else FAILED


def _message(error: Exception) -> str:
    text = message_of(error)
    if isinstance(error, _WRONG_INPUT_ERRORS):
        return text
    return f"{type(error).__name__}: {text}\nRun the command again with --debug for the traceback."
