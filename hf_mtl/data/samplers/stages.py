# SPDX-License-Identifier: Apache-2.0
"""One part of the sources after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, final

from hf_mtl._checks import check_same_names
from hf_mtl._numbers import check_positive
from hf_mtl.data.samplers.base import NUM_PARTS, SAMPLERS, SourceSize
from hf_mtl.data.samplers.by_rate import RandomSampler, epoch_rows, shares
from hf_mtl.data.samplers.subsets import Subset

__all__ = ["StagesSampler"]


@SAMPLERS.register("stages")
@final
@dataclass(frozen=True)
class StagesSampler(RandomSampler):
    """Draws from one part of the sources after the other, over the whole training.

    For intermediate-task training, or to end on the tasks that matter. Sources may be in several
    stages; what is in no later stage is forgotten unless it is drawn again. Within a stage, draws
    are random at the rates of the stage's sampler. An epoch has as many rows as the sources have
    together.

    Args:
        stages: In order, each a list of sources, or a mapping with ``sources``, ``share`` (of the
            training, relative to those of the other stages) and ``sampler`` (an entry of the
            samplers; ``proportional``). With no ``share`` in any stage, stages are as long as
            their sources are large.

    Raises:
        TypeError: If a stage is neither form, or a share no number.
        KeyError: If a field or a sampler is unknown.
        ValueError: If there is no stage, a stage has no source, or only some have a share.

    Example:
        >>> sizes = [SourceSize(900, 8, name="news"), SourceSize(300, 8, name="reviews")]
        >>> sampler = StagesSampler([["news"], ["news", "reviews"]])
        >>> [sampler.rates(sizes, progress) for progress in (0.0, 0.9)]
        [[1.0, 0.0], [0.75, 0.25]]

    Source:
        Phang et al. 2018, "Sentence Encoders on STILTs", https://arxiv.org/abs/1811.01088, is the
        case of two stages.
    """

    stages: Sequence[list[str] | Mapping[str, Any]]

    def __post_init__(self) -> None:
        if isinstance(self.stages, (str, Mapping)) or not isinstance(self.stages, Sequence):
            raise TypeError(f"`stages` must be a list of stages, but got {self.stages!r}.")
        if not self.stages:
            raise ValueError("`stages` must hold at least one stage, but got none.")
        _ = self._subsets  # what is wrong with one is said now
        given = [stage for stage in self.stages if isinstance(stage, Mapping) and "share" in stage]
        if given and len(given) < len(self.stages):
            raise ValueError(
                f"`stages` must give each stage a `share`, or none, but only {len(given)} of "
                f"{len(self.stages)} have one."
            )
        for i, stage in enumerate(given):
            check_positive(f"stages[{i}].share", stage["share"])

    def check_sources(self, names: Sequence[str]) -> None:
        subsets = self._subsets
        found = [source for subset in subsets for source in subset.sources]
        check_same_names("stages", found, names, "source")
        for subset in subsets:
            subset.sampler.check_sources(subset.sources)

    @property
    def changes(self) -> bool:
        return True

    def rates(self, sizes: Sequence[SourceSize], progress: float = 0.0) -> list[float]:
        subsets = self._subsets
        ends = list(accumulate(self._shares(sizes)))
        # The last end may fall short of 1 by rounding.
        index = next((i for i, end in enumerate(ends) if progress < end), len(ends) - 1)
        start = ends[index - 1] if index else 0.0
        return subsets[index].rates(sizes, (progress - start) / (ends[index] - start))

    @cached_property
    def _subsets(self) -> list[Subset]:
        return [
            Subset.of(f"stages[{i}]", stage, others=("share",))
            for i, stage in enumerate(self.stages)
        ]

    @cached_property
    def _shares_by_sizes(self) -> dict[tuple[SourceSize, ...], list[float]]:
        """Shares that are known: to find them, samplers that change are asked a hundred times."""
        return {}

    def _shares(self, sizes: Sequence[SourceSize]) -> list[float]:
        """Share of each stage in the training."""
        known = self._shares_by_sizes
        if tuple(sizes) not in known:
            known[tuple(sizes)] = self._found_shares(sizes)
        return known[tuple(sizes)]

    def _found_shares(self, sizes: Sequence[SourceSize]) -> list[float]:
        amounts = [
            float(stage["share"])
            if isinstance(stage, Mapping) and "share" in stage
            else epoch_rows(subset.sampler, subset.sizes(sizes))
            for stage, subset in zip(self.stages, self._subsets, strict=True)
        ]
        found = shares(amounts)
        if min(found) < 1 / NUM_PARTS:
            raise ValueError(
                f"`stages` must each take a hundredth of the training or more, but stage "
                f"{found.index(min(found))} would take {min(found):.2%} of it. Give each stage a "
                f"`share`."
            )
        return found
