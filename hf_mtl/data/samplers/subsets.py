# SPDX-License-Identifier: Apache-2.0
"""Some of the sources, and the sampler that mixes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_mtl._checks import check_known
from hf_mtl._typing import Entry
from hf_mtl.data.samplers.adaptive import AdaptiveSampler
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize, TaskSampler

__all__ = ["Subset", "part_sampler"]


def part_sampler(name: str, entry: Entry) -> TaskSampler:
    """A sampler that is part of another one.

    Args:
        name: The argument that the user passed.
        entry: Entry of the sampler.

    Raises:
        KeyError: If it is unknown.
        ValueError: If it follows what a run shows, which nobody would tell it.
    """
    sampler = SAMPLERS.build(entry)
    if isinstance(sampler, AdaptiveSampler):
        raise ValueError(
            f"`{name}` must be a sampler that does not follow the run, because only that of the "
            f"whole mixture is told of it, but got {entry!r}. Choose another one, such as "
            f"'temperature'."
        )
    return sampler


@dataclass(frozen=True)
class Subset:
    """Some of the sources, and the sampler that mixes them.

    Args:
        sources: Names of the sources.
        sampler: Mixes them.
    """

    sources: tuple[str, ...]
    sampler: TaskSampler

    @classmethod
    def of(cls, name: str, given: object, *, others: Sequence[str] = ()) -> "Subset":
        """The subset that a user wrote: a list of sources, or a mapping.

        Args:
            name: The argument that the user passed.
            given: Names of the sources; or a mapping with ``sources`` and, if not proportional,
                ``sampler``.
            others: Fields that the mapping may hold as well.

        Raises:
            TypeError: If it is neither form.
            KeyError: If a field or the sampler is unknown.
            ValueError: If there is no source, or one twice, or the sampler follows the run.
        """
        fields: Mapping[str, Any] = given if isinstance(given, Mapping) else {"sources": given}
        for field in fields:
            check_known(f"field of `{name}`", field, ("sources", "sampler", *others))
        sources = fields.get("sources")
        if isinstance(sources, str) or not isinstance(sources, Sequence):
            raise TypeError(
                f"`{name}` must be a list of sources, or a mapping with `sources`, but got "
                f"{given!r}."
            )
        if not sources or len(set(sources)) < len(sources):
            raise ValueError(
                f"`{name}` must hold at least one source and none twice, but got {list(sources)}."
            )
        sampler = part_sampler(f"{name}.sampler", fields.get("sampler", "proportional"))
        return cls(tuple(sources), sampler)

    def rates(self, sizes: Sequence[SourceSize], progress: float) -> list[float]:
        """Rates among all sources, 0 for those outside.

        Args:
            sizes: Size of every source.
            progress: How far the training is.
        """
        own = self.sizes(sizes)
        rate_by_name = dict(zip(self.sources, self.sampler.rates(own, progress), strict=True))
        return [rate_by_name.get(size.name, 0.0) for size in sizes]

    def sizes(self, sizes: Sequence[SourceSize]) -> list[SourceSize]:
        """Sizes of its own sources."""
        size_by_name = {size.name: size for size in sizes}
        return [size_by_name[source] for source in self.sources]
