# SPDX-License-Identifier: Apache-2.0
"""The card of a model that a trainer has trained."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hf_mtl.data import SourceCollection
from hf_mtl.evaluation import ResultRow
from hf_mtl.hub import RunResults, library_versions, machine_description, render_card
from hf_mtl.models import MultiTaskModel
from hf_mtl.models.parameters import num_parameters
from hf_mtl.training.arguments import MultiTaskTrainingArguments

__all__ = ["write_card"]


def write_card(
    model: MultiTaskModel,
    args: MultiTaskTrainingArguments,
    results: Sequence[ResultRow],
    train: SourceCollection | None,
    *,
    license_name: str | None = None,
    tags: Sequence[str] = (),
    model_name: str | None = None,
    hub_name: str | None = None,
) -> None:
    """Writes ``README.md`` into the output folder.

    Args:
        model: The model.
        args: The arguments it was trained with.
        results: Its last evaluation.
        train: The rows it was trained on.
        license_name: Licence of the weights.
        tags: More tags for the Hub.
        model_name: Name in the title. ``None``: that of the Hub, or of the folder.
        hub_name: Name on the Hub, if it is to be there.
    """
    folder = Path(str(args.output_dir))
    run = RunResults(
        suite=model.suite,
        results=[asdict(row) for row in results],
        backbone=model.name_or_path or "untrained",
        seed=args.seed,
        num_parameters=num_parameters(model),
        num_train_rows=train.known_rows if train else {},
        machine=machine_description(),
        versions=library_versions(),
    )
    model_path = hub_name or str(folder)
    card = render_card(
        run,
        model_name=model_name or Path(model_path).name,
        model_path=model_path,
        license_name=license_name,
        tags=tags,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
