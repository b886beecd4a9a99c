# SPDX-License-Identifier: Apache-2.0
"""What the next line of the log has so far, for checkpoints that lie between two lines.

Upstream begins its averages anew on resume, so that the next line leaves out the steps before.
"""

from typing import Any

import torch

from hf_mtl.training.loss_log import LossLog
from hf_mtl.training.ranks import Ranks

__all__ = ["LogState"]


class LogState:
    """A part of a run with a state: the losses since the last line, total and by task.

    Args:
        trainer: The trainer, in whose attributes upstream adds up the total.
        losses: The losses by task.
        ranks: The ranks of the run; each keeps its own share.
    """

    is_required = False

    def __init__(self, trainer: Any, losses: LossLog, ranks: Ranks) -> None:
        self._trainer = trainer
        self._losses = losses
        self._ranks = ranks
        self._loaded: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Share of this rank, as plain values."""
        return {
            "total": float(self._trainer._tr_loss),
            "logged_step": int(self._trainer._globalstep_last_logged),
            "tasks": self._losses.state_dict(),
        }

    def merge(self, states: list[Any]) -> list[Any]:
        """The shares of all ranks."""
        return states

    def load_state_dict(self, state: list[Any]) -> None:
        """Keeps the share of this rank until the run begins.

        Args:
            state: What ``merge`` gave. With another number of ranks the first one gets all of it.
        """
        is_same = len(state) == self._ranks.world_size
        own = state[self._ranks.rank] if is_same else self._whole(state)
        mean = sum(share["total"] for share in state) / len(state)
        self._loaded = {**own, "before": mean}

    def begin(self, *, is_resumed: bool) -> None:
        """Begins a run: with nothing, or with what was loaded, where upstream goes on from.

        Args:
            is_resumed: Whether the run goes on from a checkpoint.
        """
        self._losses.clear()
        trainer, state, self._loaded = self._trainer, self._loaded, None
        if state is None or not is_resumed:
            return
        device = trainer.args.device
        trainer._tr_loss = torch.tensor(state["total"], device=device)
        # The loss of the whole training is a mean over the steps since it was resumed.
        trainer._total_loss_scalar = -state["before"]
        trainer._globalstep_last_logged = state["logged_step"]
        self._losses.load_state_dict(state["tasks"], device)

    def _whole(self, states: list[Any]) -> dict[str, Any]:
        """All shares on the first rank; upstream averages totals, task losses add up."""
        is_first = self._ranks.rank == 0
        mean = sum(state["total"] for state in states) / len(states)
        sums = {
            task: sum(state["tasks"]["sums"][task] for state in states) if is_first else 0.0
            for task in states[0]["tasks"]["sums"]
        }
        return {
            **states[0],
            "total": mean * self._ranks.world_size if is_first else 0.0,
            "tasks": {**states[0]["tasks"], "sums": sums},
        }
