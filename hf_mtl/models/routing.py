# SPDX-License-Identifier: Apache-2.0
"""From one output of the backbone to the logits of every task."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from hf_mtl.models.backbone import row_slice

__all__ = ["task_logits"]


def task_logits(
    heads: nn.ModuleDict,
    tasks: Sequence[str],
    output: Any,
    inputs: Mapping[str, Any],
    rows: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Logits of each task: ``[b, C]`` or ``[b, L, C]``.

    Args:
        heads: Head of each task.
        tasks: Tasks to run.
        output: What the backbone returned for the ``B`` rows of the batch.
        inputs: What it was given.
        rows: ``[b]`` indices of the rows that are a task's; no entry: all rows.
    """
    num_rows = len(output[0])
    # Tasks of one source share one tensor of rows, by which the output is sliced once.
    sliced: dict[int | None, tuple[Any, Any]] = {None: (output, inputs)}
    logits = {}
    for task in tasks:
        own = rows.get(task)
        key = None if own is None else id(own)
        if own is not None and key not in sliced:
            sliced[key] = row_slice(output, own, num_rows), row_slice(inputs, own, num_rows)
        logits[task] = heads[task](*sliced[key])
    return logits
