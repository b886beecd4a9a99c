# SPDX-License-Identifier: Apache-2.0
"""What the layers of a grouped pass share: whose rows are whose, and where gradients go."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeGuard

import torch
from torch import Tensor, nn

from hf_mtl.training.engines.grouped.rows import RowGroups, Segment
from hf_mtl.training.engines.grouped.sink import DoneSink, GradientSink

__all__ = ["Grouping"]


class Grouping:
    """State of one grouped pass.

    Attributes:
        groups: Which rows are whose; its ``tasks`` are read in each backward.
        sink: Takes the gradients.
        is_split: Whether a backward hands gradients to the sink. If not, the layers give the
            gradients of all rows to ``.grad``, as they do outside. It is read in the backward, so
            that a graph that was retained can be run through in both ways.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], groups: RowGroups, sink: GradientSink
    ) -> None:
        self.groups = groups
        self.sink = sink
        self.is_split = True
        self._names = {parameter: name for name, parameter in parameters.items()}
        self._done = sink.done if isinstance(sink, DoneSink) else None
        self._only_group: int | None = None
        self._is_paused = False
        self._num_uses: Counter[nn.Parameter] = Counter()
        self._num_seen: Counter[nn.Parameter] = Counter()
        self._is_settled = False

    @property
    def is_active(self) -> bool:
        """Whether layers are to work by group, and not as they do outside."""
        return torch.is_grad_enabled() and not self._is_paused

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Context in which layers work as they do outside."""
        held, self._is_paused = self._is_paused, True
        try:
            yield
        finally:
            self._is_paused = held

    @contextmanager
    def only(self, group: int) -> Iterator[None]:
        """Context in which layers are run for one group, whatever their rows are."""
        held, self._only_group = self._only_group, group
        try:
            yield
        finally:
            self._only_group = held

    def with_rows(
        self, tensor: Tensor, layer: str, *, num_inner: int = 1
    ) -> tuple[Tensor, Sequence[Segment]]:
        """The input of a layer with a row axis, and whose its rows are.

        Not seen is an input whose first axis is another one, but as long as the batch.

        Args:
            tensor: ``[B, ...]``, or ``[1, ...]``, which stands for ``B`` equal rows.
            layer: Its name, for the message.
            num_inner: Axes that one row has, at least.

        Raises:
            RuntimeError: If the first axis is not that of the rows.
        """
        if self._only_group is not None:
            return tensor, [(self._only_group, 0, tensor.shape[0])]
        num_rows = self.groups.num_rows
        has_axis = tensor.ndim > num_inner
        if has_axis and tensor.shape[0] == 1:
            tensor = tensor.expand(num_rows, *tensor.shape[1:])
        if not has_axis or tensor.shape[0] != num_rows:
            raise RuntimeError(
                f"`{layer}` must get an input of {num_inner + 1} axes or more, of which the first "
                f"is for the {num_rows} rows of the batch, but got {list(tensor.shape)}. Choose "
                f"`gradient_engine='streaming'`."
            )
        return tensor, self.groups.segments

    def is_grouped(self, parameter: Tensor | None) -> TypeGuard[nn.Parameter]:
        """Whether the gradients of this parameter go to the sink."""
        return parameter in self._names

    def is_split_for(self, parameter: Tensor | None) -> TypeGuard[nn.Parameter]:
        """Whether, in this backward, the gradient of this parameter goes to the sink."""
        return self.is_split and self.is_grouped(parameter)

    def count_use(self, *parameters: Tensor | None) -> None:
        """Counts one use of each parameter, unless an activation is only computed once more."""
        # What checkpointing recomputes runs inside a backward, of which PyTorch knows the number.
        if torch._C._current_graph_task_id() != -1:
            return
        if self._is_settled:
            self._num_uses.clear()
            self._is_settled = False
        self._num_uses.update(filter(self.is_grouped, parameters))

    def count_seen(self, *parameters: Tensor | None) -> None:
        """Counts that the backward has passed one use of each parameter."""
        for parameter in parameters:
            if self.is_split_for(parameter):
                self._num_seen[parameter] += 1
                if self._num_seen[parameter] == self._num_uses[parameter]:
                    self._tell_done(parameter)

    def after_backward(self) -> None:
        """To be called after each backward: tells the sink of the parameters that are left.

        Left are those of which the backward did not reach every use.
        """
        for parameter, num_seen in self._num_seen.items():
            if num_seen != self._num_uses[parameter]:
                self._tell_done(parameter)
        self._num_seen.clear()
        self._is_settled = True

    def _tell_done(self, parameter: nn.Parameter) -> None:
        if self._done is not None:
            self._done(parameter)
