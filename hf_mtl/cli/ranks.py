# SPDX-License-Identifier: Apache-2.0
"""Which of several processes this is: the first one speaks for all."""

import os
import warnings

__all__ = ["COMMAND_VARIABLE", "be_quiet", "num_ranks", "rank", "ranks_here"]

COMMAND_VARIABLE = "HF_MTL_LAUNCH"
"""Environment variable with the part of the command line that started the processes."""


def rank() -> int:
    """Number of this process, from 0, as launchers of PyTorch set it."""
    return int(os.environ.get("RANK", 0))


def num_ranks() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", 1))


def ranks_here() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def be_quiet() -> None:
    """Leaves warnings and progress bars to the first process, which has the same."""
    from datasets.utils.logging import disable_progress_bar
    from datasets.utils.logging import set_verbosity_error as quiet_datasets
    from transformers.utils import logging

    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    quiet_datasets()
    disable_progress_bar()
