# SPDX-License-Identifier: Apache-2.0
"""The benchmark of scaling runs; what it measures is for people to read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scaling.py"


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.real_weights
def test_a_quick_run_prints_every_table(real_data):
    run = subprocess.run(
        [sys.executable, SCRIPT, "--quick"],
        env={**os.environ, "HF_MTL_CACHE": str(real_data), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for words in (
        "2 processes, 1 thread each",
        "temperature",
        "Start-up from prepared data",
        "Resume of 10 tasks",
    ):
        assert words in run.stdout
