# SPDX-License-Identifier: Apache-2.0
"""Commands of ``hf-mtl``, run in this process."""

from typer.testing import CliRunner, Result

from hf_mtl.cli.app import app

__all__ = ["plain", "run"]


def run(*arguments: object, given: str | None = None) -> Result:
    """What a command printed, and its exit code."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=given)


def plain(text: str) -> str:
    """Text with every run of white space as one space: terminals wrap lines."""
    return " ".join(text.split())
