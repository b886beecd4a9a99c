# SPDX-License-Identifier: Apache-2.0
"""Runs the processes of a run, passes signals on to them, and gives their exit code."""

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from subprocess import CalledProcessError
from typing import Any

__all__ = ["run_with_accelerate", "run_with_torch"]

# A shell's exit code of a program that a signal ended is this and the signal.
_SIGNAL = 128


def run_with_accelerate(arguments: Sequence[str]) -> int:
    """Exit code of the processes that ``accelerate launch`` starts.

    Args:
        arguments: Arguments of ``accelerate launch``.
    """
    from accelerate.commands.launch import launch_command, launch_command_parser

    return _exit_code(lambda: launch_command(launch_command_parser().parse_args(list(arguments))))


def run_with_torch(arguments: Sequence[str], *, processes_here: int) -> int:
    """Exit code of processes on the CPU, which ``torch.distributed.run`` starts.

    Args:
        arguments: Arguments of ``torch.distributed.run``.
        processes_here: How many of them share the cores of this machine.
    """
    from torch.distributed.run import parse_args, run

    threads = max(1, (os.cpu_count() or 1) // processes_here)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    return _exit_code(lambda: run(parse_args(list(arguments))))


def _exit_code(start: Callable[[], object]) -> int:
    """What the processes end with, once all of them have.

    Args:
        start: Starts them and waits for them.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # Its messages name local ranks and files of its own; what a user needs, the ranks say.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    with _own_handling_of_termination(), _termination_passed_on():
        try:
            start()
        except ChildFailedError as error:
            return _first_cause([failure.exitcode for failure in error.failures.values()])
        except CalledProcessError as error:
            return _shell_code(error.returncode)
        except SignalException as error:
            return _SIGNAL + error.sigval
    return 0


def _first_cause(codes: Sequence[int]) -> int:
    """Exit code of the process that the others followed, as a shell gives it.

    The launcher ends the others by SIGTERM, so that is no cause unless there is no other. A process
    that was killed makes others fail (1, 2), and failing comes before a preempted run's own code.
    """
    causes = [code for code in codes if code != -signal.SIGTERM]
    return _shell_code(min(causes or codes))


def _shell_code(code: int) -> int:
    return code if code >= 0 else _SIGNAL - code


@contextmanager
def _own_handling_of_termination() -> Iterator[None]:
    """Keeps torch's launcher from killing the ranks 30 seconds after SIGTERM.

    A run that is preempted saves a checkpoint first, and ends with a code of its own.
    """
    name = "PET_SIGNALS_TO_HANDLE"
    before = os.environ.get(name)
    os.environ.setdefault(name, "SIGINT,SIGHUP,SIGQUIT")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


@contextmanager
def _termination_passed_on() -> Iterator[None]:
    """Passes SIGTERM on to the ranks, and waits on for what they make of it."""
    import psutil

    def pass_on(signum: int, frame: Any) -> None:
        del frame
        for rank in psutil.Process().children():
            # Another thread may have seen the end of one in between.
            with suppress(psutil.NoSuchProcess):
                rank.send_signal(signum)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
