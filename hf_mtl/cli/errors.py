# SPDX-License-Identifier: Apache-2.0
"""What a user sees of an error: one block of text, and an exit code."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from hf_mtl._checks import message_of

__all__ = ["FAILED", "WRONG_INPUT", "readable_errors"]

WRONG_INPUT = 2
"""Exit code where the user can put it right: a recipe, a file, an option, a missing extra."""
FAILED = 1
"""Exit code of any other error."""

_WRONG_INPUT_ERRORS = (ValueError, TypeError, LookupError, ImportError, OSError)
_PASSED_ON = (typer.Exit, typer.Abort, typer.BadParameter)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def readable_errors(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A command whose errors end in a readable block on standard error instead of a traceback.

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
            # Soft-wrapped and without markup: paths stay whole, square brackets stay text.
            Console(stderr=True).print(
                Text("Error: ", style="bold red") + Text(_message(error), style="default"),
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
