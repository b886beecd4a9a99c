# SPDX-License-Identifier: Apache-2.0
"""Model cards: what a run gave, for people and for the Hub."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from hf_mtl.hub.run_results import RunResults
from hf_mtl.models import HEADS
from hf_mtl.tasks import TaskSuite

__all__ = ["render_card"]

# At most one slash: a path of several folders is no name on the Hub.
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_MISSING = "-"


def render_card(
    run: RunResults,
    *,
    model_name: str,
    model_path: str | None = None,
    license_name: str | None = None,
    base_model: str | None = None,
    tags: Sequence[str] = (),
    example: str = "A gorgeous, witty film.",
) -> str:
    """Markdown model card with a front matter that the Hub reads, results included.

    It is a function of its arguments alone: the same run gives the same card.

    Args:
        run: What the run gave.
        model_name: Name of the model, in words.
        model_path: Where users load it from: a Hub name or a folder. ``None``: ``model_name``.
        license_name: Licence of the weights, as the Hub spells it, such as ``"apache-2.0"``.
        base_model: Name of the backbone on the Hub. ``None``: the run's, if it is no path.
        tags: More tags for the Hub.
        example: An input for the example of use.

    Returns:
        The text of ``README.md``.
    """
    front_matter = _front_matter(run, model_name, license_name, base_model, tags)
    sections = (
        _summary(run, model_name),
        _results(run),
        _usage(run, model_path or model_name, example),
        _data(run),
        _training(run),
        _machine(run),
    )
    body = "\n\n".join(section for section in sections if section)
    return f"---\n{front_matter}\n---\n\n{body}\n"


def _front_matter(
    run: RunResults,
    model_name: str,
    license_name: str | None,
    base_model: str | None,
    tags: Sequence[str],
) -> str:
    types = [spec.type for spec in run.suite.values()]
    if base_model is None and _HUB_NAME.fullmatch(run.backbone):
        base_model = run.backbone
    data = ModelCardData(
        library_name="hf_mtl",
        license=license_name,
        base_model=base_model,
        tags=list(dict.fromkeys(["multi-task", "hf_mtl", *types, *tags])),
        metrics=list(dict.fromkeys(row["metric"] for row in run.results)) or None,
        model_name=model_name,
        eval_results=[_eval_result(row) for row in run.results if row["value"] is not None] or None,
    )
    return str(data.to_yaml())


def _eval_result(row: Mapping[str, Any]) -> EvalResult:
    return EvalResult(
        task_type=row["type"],
        task_name=row["task"],
        dataset_type=row["source"],
        dataset_name=row["source"],
        # The Hub joins results of one task type on one data set; this keeps two such tasks apart.
        dataset_config=row["task"],
        dataset_split="test",
        metric_type=row["metric"],
        metric_name=row["metric"],
        metric_value=row["value"],
    )


def _summary(run: RunResults, model_name: str) -> str:
    tasks = "\n".join(
        f"- **{task}**: {spec.type}{_in_words(spec.labels)}" for task, spec in run.suite.items()
    )
    size = "" if run.num_parameters is None else f" ({run.num_parameters / 1e6:.1f} M parameters)"
    noun = "task" if len(run.suite) == 1 else "tasks"
    return (
        f"# {model_name}\n\nOne `{run.backbone}` backbone{size} with {len(run.suite)} {noun}, "
        f"trained together with hf_mtl:\n\n{tasks}"
    )


def _in_words(labels: Sequence[str] | None) -> str:
    if not labels:
        return ""
    shown = ", ".join(f"`{label}`" for label in labels[:25])
    return f"; {len(labels)} labels: {shown}{', ...' if len(labels) > 25 else ''}"


def _results(run: RunResults) -> str:
    header = ("task", "rows", "metric", "value", "constant answer")
    rows = [
        (
            row["task"],
            f"{row['num_rows']:,}",
            f"{row['metric']} {'↑' if row.get('greater_is_better', True) else '↓'}",
            _number(row["value"]),
            _number(row["baseline"]),
        )
        for row in run.results
    ]
    return (
        f"## Results\n\n{_table(header, rows)}\n\n"
        "On held-out rows. The constant answer is the majority class, the majority tag or the mean "
        "score of the\ntraining rows. ↑: larger is better, ↓: smaller is better; "
        f"`{_MISSING}`: not defined or not measured. One run, seed {run.seed}."
    )


def _usage(run: RunResults, model_path: str, example: str) -> str:
    lines = [
        "from hf_mtl import MultiTaskModel",
        "",
        f"model = MultiTaskModel.from_pretrained({model_path!r})",
        f"model.predict({_raw_input(run.suite, example)})     # every task that reads such input",
    ]
    native = (task for task, spec in run.suite.items() if HEADS.build(spec.head_entry).is_native)
    if task := next(native, None):
        folder = f"{task}-only"
        lines.append(
            f"model.to_single_task({task!r}).save_pretrained({folder!r})    # without hf_mtl"
        )
        lines.append(
            f"model.processing_class.save_pretrained({folder!r})    # what encodes its input"
        )
    code = "\n".join(lines)
    return f"## Use\n\n```python\n{code}\n```"


def _raw_input(suite: TaskSuite, example: str) -> str:
    """Code of an input that suits the first task."""
    first = next(iter(suite.values()))
    roles, lists = first.input_columns(), first.task_type.input_kind.list_roles
    if "image" in roles:
        return "PIL.Image.open('picture.png')"
    values = {role: [example, example] if role in lists else example for role in roles}
    return repr(values if len(roles) > 1 else example)


def _data(run: RunResults) -> str:
    parts = []
    if run.data:
        header = ("origin", "version", "licence", "SHA-256", "what")
        keys = ("name", "version", "license", "sha256", "content")
        rows = ([str(item.get(key) or _MISSING) for key in keys] for item in run.data)
        parts.append(_table(header, rows))
    if run.num_train_rows:
        counts = ", ".join(f"{name} {count:,}" for name, count in run.num_train_rows.items())
        parts.append(f"Rows trained on: {counts}.")
    return "\n\n".join(("## Data", *parts)) if parts else ""


def _training(run: RunResults) -> str:
    parts = ["## Training"]
    if run.command:
        parts.append(f"```sh\n{run.command}\n```")
    if settings := list(_flat(run.settings)):
        parts.append(_table(("setting", "value"), settings))
    return "\n\n".join(parts) if len(parts) > 1 else ""


def _machine(run: RunResults) -> str:
    facts = {
        **{f"{what} took": _duration(seconds) for what, seconds in run.seconds.items()},
        **run.machine,
        **run.versions,
    }
    return f"## Machine\n\n{_table(('what', 'value'), facts.items())}" if facts else ""


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings of all sections as ``section.name`` and value."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def _number(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.3f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: str) -> str:
    """Text that neither ends the cell nor the row."""
    return value.replace("|", "\\|").replace("\n", " ")
