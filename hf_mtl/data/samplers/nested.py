# SPDX-License-Identifier: Apache-2.0
"""Mixtures of mixtures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from hf_mtl._checks import check_same_names
from hf_mtl._typing import Entry
from hf_mtl.data.samplers.base import SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import RandomSampler, epoch_rows
from hf_mtl.data.samplers.subsets import Subset, part_sampler

__all__ = ["NestedSampler"]


@SAMPLERS.register("nested")
@final
@dataclass(frozen=True)
class NestedSampler(RandomSampler):
    """Draws from groups of sources: one sampler mixes the groups, others what is in them.

    For collections that each hang together: nine small sources of one benchmark need not outweigh
    one large source beside them. A group counts as large as an epoch of its own sampler, so that a
    cap inside holds for the group. A group's sampler may be nested in turn. An epoch has as many
    rows as one of the sampler between the groups.

    Args:
        groups: Sources of each group by the group's name: a list, or a mapping with ``sources``
            and ``sampler`` (an entry of the samplers; ``proportional``).
        sampler: Entry of the sampler between the groups.

    Raises:
        TypeError: If a group is neither form.
        KeyError: If a field or a sampler is unknown.
        ValueError: If there is no group, a group has no source, or a source is in two groups.

    Example:
        >>> rows = {"a": 900, "b": 300, "c": 400}
        >>> sizes = [SourceSize(count, 10, name=name) for name, count in rows.items()]
        >>> capped = {"sources": ["a", "b"], "sampler": {"name": "proportional", "cap": 300}}
        >>> NestedSampler({"ab": capped, "c": ["c"]}).rates(sizes)
        [0.3, 0.3, 0.4]

    Source:
        Mixtures of mixtures in seqio, https://github.com/google/seqio.
    """

    groups: Mapping[str, list[str] | Mapping[str, Any]]
    sampler: Entry = "proportional"

    def __post_init__(self) -> None:
        if not isinstance(self.groups, Mapping):
            raise TypeError(
                f"`groups` must be a mapping from names to sources, but got {self.groups!r}."
            )
        if not self.groups:
            raise ValueError("`groups` must hold at least one group, but got none.")
        found = [source for subset in self._subsets.values() for source in subset.sources]
        if twice := sorted({source for source in found if found.count(source) > 1}):
            raise ValueError(
                f"`groups` must hold each source once, but {twice} are in several groups."
            )
        part_sampler("sampler", self.sampler)

    @property
    def changes(self) -> bool:
        samplers = [SAMPLERS.build(self.sampler)]
        samplers += [subset.sampler for subset in self._subsets.values()]
        return any(sampler.changes for sampler in samplers)

    def check_sources(self, names: Sequence[str]) -> None:
        subsets = self._subsets
        found = [source for subset in subsets.values() for source in subset.sources]
        check_same_names("groups", found, names, "source")
        for subset in subsets.values():
            subset.sampler.check_sources(subset.sources)
        SAMPLERS.build(self.sampler).check_sources(list(self.groups))

    def epoch_rows(self, sizes: Sequence[SourceSize]) -> int:
        return epoch_rows(SAMPLERS.build(self.sampler), self._group_sizes(sizes))

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        between = SAMPLERS.build(self.sampler).rates(self._group_sizes(sizes), progress)
        within = [subset.rates(sizes, progress) for subset in self._subsets.values()]
        return [
            sum(group * rates[source] for group, rates in zip(between, within, strict=True))
            for source in range(len(sizes))
        ]

    @cached_property
    def _subsets(self) -> dict[str, Subset]:
        return {name: Subset.of(f"groups.{name}", group) for name, group in self.groups.items()}

    def _group_sizes(self, sizes: Sequence[SourceSize]) -> list[SourceSize]:
        """Each group as if it were one source."""
        return [
            SourceSize(epoch_rows(subset.sampler, subset.sizes(sizes)), batch_size=1, name=name)
            for name, subset in self._subsets.items()
        ]
