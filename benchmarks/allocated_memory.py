# SPDX-License-Identifier: Apache-2.0
"""The most memory that tensors have at once, counted by torch's own allocator."""

import gc
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

__all__ = ["largest_sum", "peak_bytes"]


def peak_bytes(call: Callable[[], object]) -> int:
    """Bytes of tensors at the worst moment of a call, beyond what there was before it.

    On a CPU these are the events of torch's allocator, not the resident memory of the process,
    which depends on what the C library keeps for later.

    Args:
        call: The call.
    """
    gc.collect()  # or what earlier calls have left would be set free during this one
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(path))
        events = json.loads(path.read_text("utf-8"))["traceEvents"]
    return largest_sum(events)


def largest_sum(events: Iterable[Mapping[str, Any]]) -> int:
    """Largest sum of the bytes that events of an allocator have added up to.

    Args:
        events: Events of a trace, in any order; what is set free has negative bytes.
    """
    found = sorted(
        (event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"
    )
    total = largest = 0
    for _, size in found:
        total += size
        largest = max(largest, total)
    return largest
