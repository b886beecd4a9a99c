# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: saved whole or not at all, and checked before a run goes on from one."""

from hf_mtl.training.checkpoints.errors import SavingError
from hf_mtl.training.checkpoints.output_folder import check_output_folder
from hf_mtl.training.checkpoints.preemption import EXIT_CODE, Preempted
from hf_mtl.training.checkpoints.run_state import RUN_STATE_FILE, RunState
from hf_mtl.training.checkpoints.stateful import Stateful

__all__ = [
    "EXIT_CODE",
    "RUN_STATE_FILE",
    "Preempted",
    "RunState",
    "SavingError",
    "Stateful",
    "check_output_folder",
]
