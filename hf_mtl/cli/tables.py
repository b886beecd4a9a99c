# SPDX-License-Identifier: Apache-2.0
"""Tables on the terminal: what a run will do, and what came of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hf_mtl._registry import entry_name

if TYPE_CHECKING:
    from hf_mtl.evaluation import ResultRow
    from hf_mtl.evaluation.gains import Estimate, TaskGain
    from hf_mtl.training.baselines import Baselines
    from hf_mtl.training.plan import Plan, SourcePlan

__all__ = ["baselines_table", "model_view", "plan_view", "results_table"]

_LABELS_SHOWN = 5


def plan_view(plan: "Plan") -> RenderableType:
    """Tasks, sources, steps, parameters and estimated memory of a run."""
    return Group(_tasks_table(plan), _sources_table(plan), _totals(plan))


def results_table(rows: Iterable["ResultRow"]) -> RenderableType:
    """Metrics of every task beside those of the constant answer; better ones are marked."""
    table = _table("Results", "task", "metric", "rows", "value", "constant", "")
    previous = None
    for row in rows:
        is_first = row.task != previous
        previous = row.task
        table.add_row(
            Text(row.task if is_first else ""),
            Text(row.metric),
            f"{row.num_rows:,}" if is_first else "",
            _metric(row.value),
            "" if row.baseline is None else _metric(row.baseline),
            _mark(row),
        )
    return Group(table, Text("constant: the best single answer for all rows", style="dim"))


def model_view(found: Mapping[str, Any]) -> RenderableType:
    """Tasks and totals of a saved model.

    Args:
        found: What ``hf-mtl inspect --json`` writes.
    """
    table = _table("Tasks", "task", "type", "labels", "head", "metric", "in the head")
    for task in found["tasks"]:
        labels = task.get("labels")
        table.add_row(
            Text(task["name"]),
            Text(task["type"]),
            Text("" if labels is None else _listed(labels)),
            Text(entry_name(task["head"])),
            Text(", ".join(map(entry_name, task["metrics"]))),
            f"{task['head_parameters']:,}",
        )
    totals = Table.grid(padding=(0, 2))
    for name, value in (
        ("Backbone", found["backbone"]),
        ("Parameters", f"{found['parameters']:,} in {found['dtype']}"),
        ("Saved with", f"transformers {found['transformers_version']}"),
        *((name.replace("_", " ").capitalize(), str(own)) for name, own in _balancing(found)),
    ):
        totals.add_row(Text(name, style="bold"), Text(value))
    return Group(table, totals)


def _balancing(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [item for item in (found["balancing"] or {}).items() if item[1] is not None]


def _listed(labels: Sequence[str]) -> str:
    """The first names, and how many there are."""
    if len(labels) <= _LABELS_SHOWN:
        return ", ".join(labels)
    return f"{', '.join(labels[:_LABELS_SHOWN])}, ... ({len(labels)})"


def baselines_table(found: "Baselines") -> RenderableType:
    """First metric of every task, alone and together, and what it gains; spreads below means."""
    num = len(found.seeds)
    title = f"Alone and together, {num} {'seed' if num == 1 else 'seeds'}"
    table = _table(title, "task", "constant", "alone", "together", "gain", "")
    for own in found.gains:
        table.add_row(
            Text.assemble(own.task, ("\n" + own.metric, "dim")),
            "" if own.constant is None else _metric(own.constant),
            _with_spread(own.alone),
            _with_spread(own.together),
            _with_spread(own.gain, is_gain=True),
            _verdict(own),
        )
    meaning = (
        "alone, together: mean ± standard deviation over seeds; gain: together against alone, "
        "above 0 where together is better, ± its interval at 95%"
    )
    return Group(table, Text(meaning, style="dim"))


def _tasks_table(plan: "Plan") -> Table:
    table = _table("Tasks", "task", "type", "source", "labels", "weight", "in the head")
    for task in plan.tasks:
        table.add_row(
            Text(task.name),
            Text(task.type),
            Text(task.source),
            "a number" if task.num_labels is None else f"{task.num_labels:,}",
            f"{task.weight:.3g}",
            f"{task.head_parameters:,}" + (" (detached)" if task.detached else ""),
        )
    return table


def _sources_table(plan: "Plan") -> Table:
    table = _table(
        "Sources", "source", "rows", "test rows", "batch size", "batches a pass", "longest row"
    )
    for source in plan.sources:
        table.add_row(
            Text(source.name),
            _count(source.train_rows),
            _count(source.test_rows),
            _batch_size(source),
            _count(source.batches),
            _count(source.longest),
        )
    return table


def _batch_size(source: "SourcePlan") -> str:
    if source.batch_tokens is None:
        return _count(source.batch_size)
    return f"{source.batch_tokens:,} tokens"


def _totals(plan: "Plan") -> Table:
    memory = plan.memory
    activations = "unknown" if memory.activations is None else _size(memory.activations)
    draws = (
        "one draw of each source"
        if plan.tasks_per_step == "all"
        else (f"{plan.tasks_per_step} by the {plan.sampler} sampler")
    )
    by_task = f"by task {_size(memory.task_gradients)} + " if memory.task_gradients else ""
    table = Table.grid(padding=(0, 2))
    for name, value in (
        ("Draws a step", f"{draws}, {plan.batches} batches"),
        ("Forwards a step", f"{plan.forwards_per_step} (accumulation {plan.accumulation})"),
        ("Loss weighting", _weighting(plan)),
        *_gradient_method(plan),
        ("Rows a step", f"{plan.rows_per_step:,.4g} on {_ranks(plan)}"),
        ("Steps", f"{plan.steps:,} = {plan.epochs:.4g} epochs of {plan.steps_per_epoch:,}"),
        ("Parameters", f"{plan.parameters:,}, of which {plan.trainable_parameters:,} are trained"),
        (
            "Estimated memory",
            f"{_size(memory.total)} = parameters {_size(memory.parameters)} + gradients "
            f"{_size(memory.gradients)} + optimizer {_size(memory.optimizer)} + {by_task}"
            f"activations {activations}",
        ),
    ):
        table.add_row(Text(name, style="bold"), Text(value))
    return table


def _weighting(plan: "Plan") -> str:
    if not plan.forward_only_per_step:
        return plan.weighting
    return f"{plan.weighting}, by {plan.forward_only_per_step} more forwards without gradients"


def _gradient_method(plan: "Plan") -> Iterator[tuple[str, str]]:
    cost = plan.gradient_method
    if cost is None:
        return
    often = "" if cost.update_every == 1 else f" every {cost.update_every} steps"
    scope = "" if cost.scope is None else f", comparing {cost.scope}"
    backwards = "1 backward" if cost.backwards == 1 else f"{cost.backwards} backwards"
    memory = "unknown memory" if cost.extra_bytes is None else f"{_size(cost.extra_bytes)} at most"
    yield (
        "Gradient method",
        f"{cost.method}{often}, by the {cost.engine} engine{scope}: {backwards}, {memory} for "
        f"gradients by task",
    )


def _ranks(plan: "Plan") -> str:
    return plan.strategy if plan.ranks == 1 else f"{plan.ranks} ranks ({plan.strategy})"


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    texts = {"task", "type", "source", "metric", "head", ""}
    for column in columns:
        # Narrow terminals fold long names: a name cut off is no name.
        table.add_column(column, justify="left" if column in texts else "right", overflow="fold")
    return table


def _metric(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _mark(row: "ResultRow") -> Text:
    """Says whether the model beats the constant answer; one that is undefined says nothing."""
    if row.baseline is None or row.value is None:
        return Text("")
    is_better = (row.value > row.baseline) == row.greater_is_better and row.value != row.baseline
    return Text("better", style="green") if is_better else Text("not better", style="red")


def _with_spread(estimate: "Estimate | None", *, is_gain: bool = False) -> str:
    """A mean, and on the next line how far seeds are apart, or how far a gain may be off."""
    if estimate is None:
        return "undefined"
    spread = estimate.margin if is_gain else estimate.deviation
    below = "" if spread is None else f"\n± {spread:.4f}"
    return f"{estimate.mean:{'+' if is_gain else ''}.4f}{below}"


def _verdict(gain: "TaskGain") -> Text:
    styles = {"helped": "green", "hurt": "red"}
    return Text(gain.verdict or "", style=styles.get(gain.verdict or "", ""))


def _size(num_bytes: int) -> str:
    """Bytes in the unit that keeps the number below 1024."""
    size = float(num_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
