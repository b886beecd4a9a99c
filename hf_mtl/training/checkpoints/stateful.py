# SPDX-License-Identifier: Apache-2.0
"""Parts of a run that remember something: how their state gets into a checkpoint and back."""

from collections.abc import Mapping
from typing import Any, Protocol

from hf_mtl.training.ranks import Ranks

__all__ = ["Stateful", "load_parts", "merged_states"]


class Stateful(Protocol):
    """A part of a run with a state, such as the positions in streams.

    Attributes:
        is_required: Whether a run cannot go on exactly from a checkpoint that lacks the state.
    """

    is_required: bool

    def state_dict(self) -> Any:
        """State of this rank, as plain JSON values."""

    def merge(self, states: list[Any]) -> Any:
        """State of the whole run, as plain JSON values.

        Args:
            states: What ``state_dict`` gave on each rank, in the order of the ranks.
        """

    def load_state_dict(self, state: Any) -> None:
        """Takes a state back, on every rank.

        Args:
            state: What ``merge`` gave, perhaps on another number of ranks.
        """


def merged_states(parts: Mapping[str, Stateful], ranks: Ranks) -> dict[str, Any]:
    """State of each part over all ranks; called by all of them.

    Args:
        parts: The parts, with the same names on every rank.
        ranks: The ranks.
    """
    own = {name: part.state_dict() for name, part in parts.items()}
    by_rank = ranks.gather(own)
    return {name: part.merge([states[name] for states in by_rank]) for name, part in parts.items()}


def load_parts(parts: Mapping[str, Stateful], saved: Mapping[str, Any], folder: str) -> None:
    """Gives each part its saved state back.

    Args:
        parts: The parts of the run that goes on.
        saved: States by part.
        folder: The checkpoint, for the message.

    Raises:
        ValueError: If a part that is required has no state in the checkpoint, or a state has no
            part in the run.
    """
    lacking = parts.keys() - saved.keys()
    if missing := sorted(name for name in lacking if parts[name].is_required):
        raise ValueError(
            f"The checkpoint {folder!r} must hold the state of every part of the run, but it "
            f"lacks {missing}. Resume with the settings it was saved with; to start anew from its "
            f"weights, load them with `MultiTaskModel.from_pretrained`."
        )
    if unknown := sorted(saved.keys() - parts.keys()):
        raise ValueError(
            f"The run must have every part whose state is in the checkpoint {folder!r}, but it "
            f"lacks {unknown}. Resume with the settings it was saved with; to start anew from its "
            f"weights, load them with `MultiTaskModel.from_pretrained`."
        )
    for name in parts.keys() & saved.keys():
        parts[name].load_state_dict(saved[name])
