# SPDX-License-Identifier: Apache-2.0
"""Runs a function on several CPU processes, as ranks of one run, and gives what each returned.

The processes come from a server that has everything imported already, so that a run of two ranks
starts in a fraction of a second. Functions and arguments must be importable by name: they live in
modules of this folder, or of the package.
"""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Outcome", "RankError", "run_ranks", "start_ranks"]

_PRELOADED = ["interrupted_runs", "strategy_checks", "strategy_runs", "toy_runs", "toy_streams"]


class RankError(AssertionError):
    """A rank failed or did not end in time."""


@dataclass
class Outcome:
    """How one rank ended.

    Attributes:
        value: What the function returned; ``None`` unless it returned.
        error: Type and message of what it raised, with the traceback; ``None`` unless it raised.
        exit_code: Exit code of the process; negative for a signal.
    """

    value: Any = None
    error: str | None = None
    exit_code: int | None = None


def run_ranks(
    function: Callable[..., Any],
    world_size: int,
    *args: Any,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
    **kwargs: Any,
) -> list[Any]:
    """What a function returned on each rank.

    Args:
        function: An importable function.
        world_size: Number of ranks. With 1 no group of processes is made.
        args: Its arguments.
        env: More environment variables of the ranks.
        timeout: Seconds until all have to be done.
        kwargs: Its arguments by keyword.

    Raises:
        RankError: If a rank raised, was killed, or was not done in time.
    """
    outcomes = start_ranks(function, world_size, *args, env=env, timeout=timeout, **kwargs)
    for rank, outcome in enumerate(outcomes):
        if outcome.error or outcome.exit_code:
            raise RankError(f"rank {rank}: exit code {outcome.exit_code}\n{outcome.error}")
    return [outcome.value for outcome in outcomes]


def start_ranks(
    function: Callable[..., Any],
    world_size: int,
    *args: Any,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
    **kwargs: Any,
) -> list[Outcome]:
    """How each rank ended: as ``run_ranks``, for runs that are meant to fail.

    Raises:
        RankError: If a rank was not done in time; all are killed then.
    """
    context = _context()
    common = {"OMP_NUM_THREADS": "1", **(env or {})}
    if world_size > 1:
        common |= {
            "WORLD_SIZE": str(world_size),
            "LOCAL_WORLD_SIZE": str(world_size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(_free_port()),
        }
    processes, pipes = [], []
    for rank in range(world_size):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if world_size > 1 else {}
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=_rank_main, args=(sender, {**common, **own}, function, args, kwargs)
        )
        process.start()
        sender.close()
        processes.append(process)
        pipes.append(receiver)
    return _outcomes(processes, pipes, time.monotonic() + timeout)


def _outcomes(processes: list[Any], pipes: list[Any], deadline: float) -> list[Outcome]:
    outcomes = []
    for rank, (process, pipe) in enumerate(zip(processes, pipes, strict=True)):
        outcome = Outcome()
        if not pipe.poll(max(0, deadline - time.monotonic())):
            for other in processes:
                other.kill()
            raise RankError(f"rank {rank} of {len(processes)} did not end in time")
        with contextlib.suppress(EOFError):  # killed: the exit code says how
            outcome.value, outcome.error = pipe.recv()
        process.join(max(1, deadline - time.monotonic()))
        outcome.exit_code = process.exitcode
        outcomes.append(outcome)
    return outcomes


def _rank_main(
    sender: Any, env: Mapping[str, str], function: Callable[..., Any], args: Any, kwargs: Any
) -> None:
    os.environ.update(env)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Workers of data loaders are forked, as usual, and not asked from another server.
    multiprocessing.set_start_method("fork", force=True)
    import torch

    torch.set_num_threads(1)
    value, error = None, None
    try:
        value = function(*args, **kwargs)
    except SystemExit as leaving:
        sender.send((None, None))
        sender.close()
        os._exit(leaving.code if isinstance(leaving.code, int) else 1)
    except BaseException:
        error = traceback.format_exc()
    sender.send((value, error))
    sender.close()
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the clean-up of groups and threads, which may wait for ranks that are gone.
    os._exit(0 if error is None else 1)


@cache
def _context() -> Any:
    folder = str(Path(__file__).parent)
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, inherited]))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
