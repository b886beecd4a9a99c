# SPDX-License-Identifier: Apache-2.0
"""All that is wrong with a recipe, collected before anything is said."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from hf_mtl._checks import message_of

__all__ = ["Problems", "RecipeError"]


class RecipeError(ValueError):
    """A recipe that cannot be run; the message has every problem on a line of its own.

    Args:
        origin: The recipe, as the user named it.
        problems: The problems, each ``"dotted.path: what is wrong and what to do"``.
    """

    def __init__(self, origin: str, problems: Iterable[str]) -> None:
        self.origin = origin
        self.problems = tuple(problems)
        noun = "problem" if len(self.problems) == 1 else "problems"
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{origin} has {len(self.problems)} {noun}:{lines}")


class Problems:
    """Collects problems under the dotted path where the user finds them.

    Args:
        origin: The recipe, as the user named it.
        found: Problems that are known already.

    Example:
        >>> problems = Problems("recipe.yaml")
        >>> with problems.at("tasks.topic.weight"):
        ...     raise ValueError("`weight` must be positive, but got -1.")
        >>> problems.found
        ('tasks.topic.weight: `weight` must be positive, but got -1.',)
    """

    def __init__(self, origin: str, found: Iterable[str] = ()) -> None:
        self.origin = origin
        self._found = dict.fromkeys(found)
        self._first_error: Exception | None = None

    @property
    def found(self) -> tuple[str, ...]:
        """The problems in the order in which they were found, each once."""
        return tuple(self._found)

    def add(self, path: str, problem: str) -> None:
        """Notes a problem; ``path`` is empty where it concerns the whole file."""
        text = " ".join(problem.split())
        self._found[f"{path}: {text}" if path else text] = None

    def has_at(self, path: str) -> bool:
        """Whether a problem was noted under exactly that path."""
        return any(problem.startswith(f"{path}: ") for problem in self._found)

    @contextmanager
    def at(self, path: str) -> Iterator[None]:
        """Notes an error about the user's input that the block raises, and goes on behind it."""
        try:
            yield
        except (ValueError, TypeError, LookupError, ImportError, OSError) as error:
            self._first_error = self._first_error or error
            self.add(path, message_of(error))

    def raise_if_any(self) -> None:
        """Raises one error with everything found so far.

        Raises:
            RecipeError: If there is any problem. Its cause is the first error that was caught.
        """
        if self._found:
            raise RecipeError(self.origin, self._found) from self._first_error
