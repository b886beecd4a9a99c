# SPDX-License-Identifier: Apache-2.0
"""Failures while saving, in words that say what is left and what to do."""

import errno
from pathlib import Path

import pytest
from safetensors import SafetensorError

from hf_mtl.training.checkpoints import SavingError
from hf_mtl.training.checkpoints.errors import same_outcome
from hf_mtl.training.ranks import Ranks

PLACE, LAST_GOOD = Path("out/checkpoint-20"), Path("out/checkpoint-10")


def outcome(ranks, *, is_sharded, last_good=LAST_GOOD):
    return same_outcome(ranks, PLACE, lambda: last_good, is_sharded=is_sharded)


def fail(error, last_good=LAST_GOOD):
    with outcome(Ranks(), is_sharded=False, last_good=last_good):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
        RuntimeError("[enforce fail at inline_container.cc:862] . PytorchStreamWriter failed"),
        RuntimeError("basic_ios::clear: iostream error"),
    ],
)
def test_a_full_disk_is_recognised_whoever_writes(error):
    message = (
        r"The checkpoint 'out/checkpoint-20' must be saved whole, but the disk is full or a limit "
        r"on files is reached .*The last good one is out/checkpoint-10. Make room or choose a "
        r"smaller `save_total_limit` and go on with `resume_from_checkpoint=True`."
    )
    with pytest.raises(SavingError, match=message):
        fail(error)


def test_another_failure_is_named():
    message = (
        r"but saving failed \(PermissionError: .*Permission denied.*\). The last good one is "
        r"out/checkpoint-10. Remove the cause of the error and go on with"
    )
    with pytest.raises(SavingError, match=message):
        fail(PermissionError(errno.EACCES, "Permission denied"))


def test_without_an_earlier_checkpoint_it_says_so():
    with pytest.raises(SavingError, match=r"There is no earlier one. Remove the cause of the err"):
        fail(ValueError("x"), last_good=None)


class ThreeRanks(Ranks):
    """As rank 1 of three sees it, when rank 2 failed."""

    def __init__(self):
        self.world_size, self.rank = 3, 1

    def gather(self, value):
        return [None, value, (True, "OSError: No space left on device")]


def test_the_failure_of_another_rank_is_raised_here_too():
    message = r"limit on files is reached on rank 2 \(OSError: No space left on device\)"
    with pytest.raises(SavingError, match=message), outcome(ThreeRanks(), is_sharded=False):
        pass


def test_where_ranks_meet_inside_a_failure_does_not_wait_for_the_others():
    message = r"saving failed on rank 1 \(ValueError: x\)"
    with pytest.raises(SavingError, match=message), outcome(ThreeRanks(), is_sharded=True):
        raise ValueError("x")


def test_success_on_all_ranks_is_silent():
    with outcome(Ranks(), is_sharded=False):
        pass
