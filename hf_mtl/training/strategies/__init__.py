# SPDX-License-Identifier: Apache-2.0
"""How a step runs on several ranks: which gradients are exchanged when, and what keeps still."""

from typing import Any

from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.ranks import Ranks
from hf_mtl.training.strategies.base import Strategy, check_whole_gradients
from hf_mtl.training.strategies.data_parallel import DataParallel
from hf_mtl.training.strategies.sharded import FullySharded
from hf_mtl.training.strategies.zero import Zero

__all__ = ["Strategy", "check_whole_gradients", "strategy_class", "strategy_of"]

_STRATEGIES = {"one process": Strategy, "DDP": DataParallel, "FSDP2": FullySharded}


def strategy_class(name: str) -> type[Strategy]:
    """Class of a strategy.

    Args:
        name: Its name, as a plan tells it.
    """
    return _STRATEGIES.get(name, Zero)


def strategy_of(accelerator: Any, args: MultiTaskTrainingArguments, ranks: Ranks) -> Strategy:
    """The strategy that a trainer runs under.

    Raises:
        ValueError: If it is none of ours, or cannot do what the arguments ask for.
    """
    if args.n_gpu > 1:
        raise ValueError(
            f"Each device must have a process of its own, but one process sees {args.n_gpu}. Start "
            f"one for each with `hf-mtl launch`, `accelerate launch` or `torchrun`, or make one "
            f"device visible with CUDA_VISIBLE_DEVICES=0."
        )
    if args.parallelism_config is not None:
        raise ValueError(
            f"`parallelism_config` must be None, because tensor, context and sequence parallelism "
            f"are not supported, but got {args.parallelism_config}. Use DDP, FSDP2 or ZeRO."
        )
    # The state has these plugins only where they are used.
    if getattr(accelerator.state, "deepspeed_plugin", None) is not None:
        return Zero(accelerator, args, ranks)
    if getattr(accelerator.state, "fsdp_plugin", None) is not None:
        return FullySharded(accelerator, args, ranks)
    if ranks.world_size > 1:
        return DataParallel(accelerator, args, ranks)
    return Strategy(accelerator, args, ranks)
