# SPDX-License-Identifier: Apache-2.0
"""Which tasks are run, and from one output of the backbone to the logits of each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from hf_mtl._checks import check_known
from hf_mtl.models.folding import folded
from hf_mtl.models.nested_outputs import row_slice, without_gradient
from hf_mtl.tasks import ROW_OF_SEQUENCE, TaskSuite

__all__ = ["check_built", "task_logits", "tasks_to_run"]


def check_built(tasks: Iterable[str], suite: TaskSuite, heads: nn.ModuleDict) -> None:
    """Raises unless every task is one of the suite and has its head.

    Raises:
        KeyError: If a task is unknown.
        ValueError: If the labels of a task are not known yet, so that it has no head.
    """
    for task in tasks:
        check_known("task", task, suite)
        if task not in heads:
            raise ValueError(
                f"`labels` of task {task!r} must be known before it is run, but they are None. "
                f"Call `set_labels({{{task!r}: [...]}})`, or let the trainer find them."
            )


def tasks_to_run(
    tasks: Sequence[str] | None,
    labels: Mapping[str, Tensor],
    suite: TaskSuite,
    heads: nn.ModuleDict,
) -> Sequence[str]:
    """The tasks asked for; ``None``: those of the labels, or all if there are none.

    Raises:
        KeyError: If a task is unknown.
        ValueError: If a task has no head yet, or labels are given for a task that is not run.
    """
    if tasks is None:
        tasks = list(labels or suite)
    check_built(tasks, suite, heads)
    if stray := sorted(set(labels) - set(tasks)):
        raise ValueError(
            f"`labels` must be of the tasks that are run, but {stray} are not among "
            f"{list(tasks)}. Leave them out, or name these tasks in `tasks`."
        )
    return tasks


def task_logits(
    suite: TaskSuite,
    heads: nn.ModuleDict,
    tasks: Sequence[str],
    output: Any,
    inputs: Mapping[str, Any],
    rows: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Logits of each task: ``[b, C]`` or ``[b, L, C]``, or ``[b, N]`` for rows of sequences.

    Args:
        suite: The tasks of the model.
        heads: Head of each task.
        tasks: Tasks to run.
        output: What the backbone returned for the ``B`` rows of the batch.
        inputs: What it was given.
        rows: Indices of the rows that are a task's, each of one sequence; no entry: all rows.
    """
    num_rows = len(output[0])
    owners = inputs.get(ROW_OF_SEQUENCE)
    inputs = {name: value for name, value in inputs.items() if name != ROW_OF_SEQUENCE}
    # Tasks of one source share one tensor of rows, by which the output is sliced once.
    sliced: dict[int | None, tuple[Any, Any]] = {None: (output, inputs)}
    logits = {}
    for task in tasks:
        own = rows.get(task)
        key = None if own is None else id(own)
        if own is not None and key not in sliced:
            sliced[key] = row_slice(output, own, num_rows), row_slice(inputs, own, num_rows)
        own_output, own_inputs = sliced[key]
        if suite[task].detached:
            own_output = without_gradient(own_output)
        logits[task] = heads[task](own_output, own_inputs)
        if suite[task].task_type.label_kind.per_sequence:
            own_owners = owners if own is None or owners is None else owners[own]
            logits[task] = folded(logits[task], own_owners)
    return logits
