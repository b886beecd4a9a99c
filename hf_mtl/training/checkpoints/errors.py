# SPDX-License-Identifier: Apache-2.0
"""A checkpoint that cannot be saved: told to every rank, in words that say what to do."""

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hf_mtl.training.ranks import Ranks

__all__ = ["SavingError", "same_outcome"]

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# PyTorch and safetensors write through layers that keep the text of the system's error at best.
_DISK_WORDS = re.compile(
    r"no space left|disk quota|file too large|os error (27|28|122)"
    r"|PytorchStreamWriter failed|iostream error|enforce fail at inline_container",
    re.IGNORECASE,
)


class SavingError(OSError):
    """A checkpoint could not be saved; the earlier ones are as they were."""


@contextmanager
def same_outcome(
    ranks: Ranks, place: Path, last_good: Callable[[], Path | None], *, is_sharded: bool
) -> Iterator[None]:
    """A part of saving that succeeds on all ranks or fails on all of them.

    Args:
        ranks: The ranks; each of them runs the block.
        place: Where the checkpoint is to be.
        last_good: Finds the newest checkpoint that can be used.
        is_sharded: Whether ranks meet inside the block to put the model together. A rank that
            fails cannot tell the others there: it leaves, which ends their waiting.

    Raises:
        SavingError: If the block raised on any rank.
    """
    cause: Exception | None = None
    try:
        yield
    except SavingError:
        raise  # told to all ranks already
    except Exception as error:
        if is_sharded:
            raise _saving_error({ranks.rank: _reason(error)}, place, last_good()) from error
        cause = error
    reasons = ranks.gather(None if cause is None else _reason(cause))
    failed = {rank: reason for rank, reason in enumerate(reasons) if reason is not None}
    if failed:
        raise _saving_error(failed, place, last_good()) from cause


def _reason(error: Exception) -> tuple[bool, str]:
    """Whether the disk is full, and the error in one line."""
    text = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
    number = error.errno if isinstance(error, OSError) else None
    return number in _DISK_ERRORS or bool(_DISK_WORDS.search(text)), text


def _saving_error(
    reasons: dict[int, tuple[bool, str]], place: Path, last_good: Path | None
) -> SavingError:
    rank, (is_disk_full, text) = min(reasons.items())
    where = f" on rank {rank}" if len(reasons) > 1 or rank else ""
    problem = (
        f"the disk is full or a limit on files is reached{where} ({text})"
        if is_disk_full
        else f"saving failed{where} ({text})"
    )
    kept = "There is no earlier one." if last_good is None else f"The last good one is {last_good}."
    advice = (
        "Make room or choose a smaller `save_total_limit`"
        if is_disk_full
        else "Remove the cause of the error"
    )
    go_on = "" if last_good is None else " and go on with `resume_from_checkpoint=True`"
    return SavingError(
        f"The checkpoint {str(place)!r} must be saved whole, but {problem}. {kept} {advice}{go_on}."
    )
