# SPDX-License-Identifier: Apache-2.0
"""Functions of a script that run in processes of their own: from plain values to plain values."""

import json
import os
import socket
import subprocess
import sys
from typing import Any

__all__ = ["in_child"]


def in_child(
    script: str, values: dict[str, Any], *, processes: int = 1, threads: int = 2
) -> dict[str, Any]:
    """What a script prints last, as JSON, when it is run with ``--child`` and some values.

    Args:
        script: The script.
        values: The values, which reach it as JSON.
        processes: Processes that run it together; the answer is that of rank 0.
        threads: Threads of each process.

    Raises:
        RuntimeError: If it fails; the message has what it wrote.
    """
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    if processes > 1:
        env |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
        env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    children = [
        subprocess.Popen(
            [sys.executable, script, "--child", json.dumps(values)],
            env={**env, **({"RANK": f"{rank}", "LOCAL_RANK": f"{rank}"} if processes > 1 else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    try:
        outputs = [child.communicate() for child in children]
    finally:
        for child in children:
            child.kill()  # of one that has ended, nothing
    for child, (_, errors) in zip(children, outputs, strict=True):
        if child.returncode:
            raise RuntimeError(f"{script} {values} failed:\n{errors}")
    result: dict[str, Any] = json.loads(outputs[0][0].splitlines()[-1])
    return result


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
