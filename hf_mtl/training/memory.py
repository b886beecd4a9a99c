# SPDX-License-Identifier: Apache-2.0
"""How much memory training takes, against how much there is."""

import math
import os
from dataclasses import dataclass

import psutil
import torch

from hf_mtl.data import SourceCollection
from hf_mtl.models import MultiTaskModel
from hf_mtl.training.activations import most_bytes, saved_bytes
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.gradient_plan import GradientPlan

__all__ = ["Memory", "estimated_memory", "free_memory", "memory_warning", "strategy_name"]

# Two values of float32.
_OPTIMIZER_BYTES = 8
# What each strategy splits over the ranks.
_SPLIT = {
    "ZeRO-1": {"optimizer"},
    "ZeRO-2": {"optimizer", "gradients"},
    "ZeRO-3": {"optimizer", "gradients", "parameters"},
    "FSDP2": {"optimizer", "gradients", "parameters"},
}


@dataclass(frozen=True)
class Memory:
    """Estimate of the memory of one device during training, in bytes.

    Their sum is ``parameters + gradients + optimizer + task_gradients + activations``:

    - ``parameters``: every parameter in its own data type.
    - ``gradients``: the same for those that are trained; under DDP the backbone's once more, in
      the buckets that are exchanged.
    - ``optimizer``: two values in float32 for each trained parameter, as AdamW keeps them.
      Of these three, a strategy that splits one over the ranks leaves each its part.
    - ``task_gradients``: those that a gradient method keeps by task, at most; 0 where that is not
      known.
    - ``activations``: what the backbone keeps of one forward for its backward, in the data type
      of the parameters, for the batch that needs most: as many of its longest rows as a batch
      has, or all batches of a step where they are merged. Counted by running the backbone on
      the meta device, so that it holds for every architecture; ``None`` where it does not run
      there. Of streams it knows the first rows only. Attention counts as without a fused kernel,
      which keeps less.

    Left out: activations of the heads, buffers of single operations, the copies that mixed
    precision and gradient clipping make, savings by activation checkpointing, the batches
    themselves, and what the device's libraries take for themselves.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int | None
    task_gradients: int = 0

    @property
    def total(self) -> int:
        """The sum of all parts that are known."""
        known = self.parameters + self.gradients + self.optimizer + self.task_gradients
        return known + (self.activations or 0)


def strategy_name(args: MultiTaskTrainingArguments) -> str:
    """How a run with these arguments spreads its model over processes."""
    if args.deepspeed_plugin is not None:
        return f"ZeRO-{args.deepspeed_plugin.zero_stage}"
    if args.world_size == 1:
        return "one process"
    # `accelerate launch` says it in the environment, a user of the arguments there.
    is_launched = os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    return "FSDP2" if args.fsdp_plugin_args is not None or is_launched else "DDP"


def estimated_memory(
    model: MultiTaskModel,
    args: MultiTaskTrainingArguments,
    train: SourceCollection,
    by_task: GradientPlan | None,
) -> Memory:
    """Memory of one device in training.

    Args:
        model: The model; one on the meta device will do.
        args: The training arguments.
        train: Rows to train on.
        by_task: What the gradient method costs, if there is one.
    """
    strategy = strategy_name(args)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    whole = {
        "parameters": sum(parameter.nbytes for parameter in model.parameters()),
        "gradients": sum(parameter.nbytes for parameter in trained),
        "optimizer": sum(_OPTIMIZER_BYTES * parameter.numel() for parameter in trained),
    }
    if strategy == "DDP":
        backbone = (each for each in model.backbone.parameters() if each.requires_grad)
        whole["gradients"] += sum(parameter.nbytes for parameter in backbone)
    split = _SPLIT.get(strategy, set())
    own = {
        name: math.ceil(size / args.world_size) if name in split else size
        for name, size in whole.items()
    }
    return Memory(
        **own,
        activations=most_bytes(saved_bytes, model, args, train),
        task_gradients=0 if by_task is None else by_task.extra_bytes or 0,
    )


def free_memory(device: torch.device, ranks_here: int = 1) -> int | None:
    """Bytes that a process can still take; ``None`` where the kind of device does not tell.

    Args:
        device: Where the process trains.
        ranks_here: Processes that share the memory of this machine.
    """
    if device.type == "cpu":
        return int(psutil.virtual_memory().available // ranks_here)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return None


def memory_warning(needed: Memory, free: int | None) -> str | None:
    """What to say before training where memory will most likely not do; ``None``: nothing.

    Args:
        needed: The estimate, which leaves things out.
        free: Bytes that there are; ``None``: not known.
    """
    if free is None or needed.total <= free:
        return None
    parts = ", ".join(
        f"{_gibibytes(size)} {name}"
        for name, size in (
            ("for parameters", needed.parameters),
            ("for gradients", needed.gradients),
            ("for the optimizer", needed.optimizer),
            ("for gradients by task", needed.task_gradients),
            ("for activations", needed.activations or 0),
        )
        if size or name != "for gradients by task"
    )
    advice = (
        "Lower `per_device_train_batch_size` (and raise `gradient_accumulation_steps` by as much) "
        "or `max_length`, or set `activation_checkpointing=True`"
        if (needed.activations or 0) > needed.total - (needed.activations or 0)
        else "Split the model over devices with `hf-mtl launch --config fsdp2`, or choose a "
        "smaller backbone"
    )
    return (
        f"Training will most likely run out of memory: each process takes at least "
        f"{_gibibytes(needed.total)} ({parts}), but {_gibibytes(free)} are free for it. {advice}."
    )


def _gibibytes(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.3g} GiB"
