# SPDX-License-Identifier: Apache-2.0
"""A recipe: the one file that says what is trained, on what, and how."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hf_mtl._yaml import load_yaml
from hf_mtl.data import Collate
from hf_mtl.tasks import TaskSuite
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.checks import (
    check_construction,
    check_sampler,
    check_schedules,
    set_best_metric_direction,
)
from hf_mtl.training.recipe.arguments import read_arguments
from hf_mtl.training.recipe.data_files import locate_backbone
from hf_mtl.training.recipe.overrides import apply_overrides
from hf_mtl.training.recipe.problems import Problems, RecipeError
from hf_mtl.training.recipe.sections import (
    SECTIONS,
    known_fields,
    mapping_at,
    read_model,
)
from hf_mtl.training.recipe.sources import SourceEntry, read_sources
from hf_mtl.training.recipe.suite import read_suite

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """What a recipe file says, read and checked as far as its text goes.

    What is wrong does not stop the reading: it is kept in ``faults``, so that it can be reported
    together with what is wrong with the data (``load_data``). The other attributes hold what
    is right.

    Attributes:
        origin: The file, as the user named it.
        model: Arguments of ``MultiTaskModel.from_backbone``, among them ``backbone``.
        suite: The tasks without their wrong fields; those whose rows cannot be judged are left
            out, and it is ``None`` if that is all of them.
        sources: Where the rows of each source lie; ``None`` if what the recipe says is wrong.
        arguments: Arguments of ``MultiTaskTrainingArguments``.
        faults: Problems of the text.
        content: The sections with overrides in effect, as plain values.
    """

    origin: str
    model: Mapping[str, Any]
    suite: TaskSuite | None
    sources: Mapping[str, SourceEntry | None]
    arguments: Mapping[str, Any]
    faults: tuple[str, ...]
    content: Mapping[str, Any]

    @classmethod
    def from_file(cls, path: str | Path, overrides: Iterable[str] = ()) -> "Recipe":
        """Recipe of a YAML file.

        Args:
            path: The file. Data files that it names are sought from its folder, then from the
                current one.
            overrides: Changes to it, each ``dotted.path=value`` with the value in YAML, such as
                ``"training.learning_rate=3e-5"``.

        Raises:
            RecipeError: If the file cannot be read as a mapping. Other problems are kept in
                ``faults``.
        """
        path = Path(path)
        problems = Problems(str(path))
        content: dict[str, Any] = {}
        with problems.at(""):
            content = _mapping_in(path, problems)
        if not content:
            problems.raise_if_any()
        content = apply_overrides(content, overrides, problems)
        return _read(content, path.absolute().parent, problems)

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.arguments.get("seed", MultiTaskTrainingArguments.seed))

    def training_arguments(self) -> MultiTaskTrainingArguments:
        """The arguments as an object; where no folder is given, for a folder that is not used."""
        # A copy, because upstream changes mappings that it is given.
        return MultiTaskTrainingArguments(
            **{"output_dir": "unnamed", **deepcopy(dict(self.arguments))}
        )

    def with_fault(self, path: str, problem: str) -> "Recipe":
        """A recipe with one more problem, to be reported with the others.

        Args:
            path: Dotted path of what is wrong.
            problem: What is wrong, and what to do.
        """
        problems = Problems(self.origin, self.faults)
        problems.add(path, problem)
        return replace(self, faults=problems.found)

    def raise_faults(self) -> None:
        """Raises one error with every problem of the text.

        Raises:
            RecipeError: If there is any.
        """
        if self.faults:
            raise RecipeError(self.origin, self.faults)


def _mapping_in(path: Path, problems: Problems) -> dict[str, Any]:
    repeated: list[str] = []
    content = load_yaml(_text_of(path), origin=path.name, repeated=repeated)
    for problem in repeated:
        problems.add("", f"{problem} Rename one of the two, or take one out.")
    if not isinstance(content, Mapping):
        raise ValueError(
            f"A recipe must be a mapping with the sections {', '.join(SECTIONS)}, "
            f"but this one holds {_short(content)}."
        )
    return dict(content)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OSError(f"The recipe cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"A recipe must be text in UTF-8, but is not: {error.reason}.") from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _with_joint_faults(recipe: Recipe, tasks: Mapping[str, Any]) -> Recipe:
    """The recipe with what the trainer would say of tasks and arguments that are right alone.

    Nothing is said where a task is missing that arguments may name.
    """
    if recipe.suite is None or len(recipe.suite) < len(tasks):
        return recipe
    args = recipe.training_arguments()
    problems = Problems(recipe.origin, recipe.faults)
    with problems.at("training"):
        check_construction(args, recipe.suite, {})
    with problems.at("mixture.sampler"):
        check_sampler(args, recipe.suite)
    with problems.at("tasks"):
        check_schedules(args, recipe.suite)
    with problems.at("mixture.batches"):
        Collate(recipe.suite, None, merged=args.batches == "merged")
    if not any(problems.has_at(f"tasks.{task}.metrics") for task in tasks):
        with problems.at("training.metric_for_best_model"):
            set_best_metric_direction(args, recipe.suite, {})
    return replace(recipe, faults=problems.found)


def _read(content: Mapping[str, Any], folder: Path, problems: Problems) -> Recipe:
    sections = known_fields("", mapping_at("", content, problems), SECTIONS, problems)
    model = read_model(sections.get("model"), problems)
    if isinstance(model.get("backbone"), str):
        model["backbone"] = locate_backbone(model["backbone"], folder)
    tasks = mapping_at("tasks", sections.get("tasks"), problems)
    if not tasks and not sections.get("tasks"):
        problems.add(
            "tasks", "There must be at least one task. Write `tasks: {name: {type: ...}}`."
        )
    sources = read_sources(sections.get("sources"), tasks, folder, problems)
    suite = read_suite(tasks, sources, problems)
    arguments = read_arguments(sections, problems)
    recipe = Recipe(
        origin=problems.origin,
        model=model,
        suite=suite,
        sources=sources,
        arguments=arguments,
        faults=problems.found,
        content=dict(content),
    )
    return _with_joint_faults(recipe, tasks)
