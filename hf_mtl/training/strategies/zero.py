# SPDX-License-Identifier: Apache-2.0
"""DeepSpeed ZeRO: states of the optimizer, gradients or parameters split over the ranks.

ZeRO joins the parameters of a group to one flat tensor, whose optimizer knows no absent parameter.
So each head has groups of its own, and the group of an absent head is passed over when the
optimizer steps: DeepSpeed steps it group by group.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hf_mtl.models import MultiTaskModel
from hf_mtl.models.parameters import tasks_with_pooler
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.strategies.base import Strategy

__all__ = ["Zero", "split_by_head"]


@final
class Zero(Strategy):
    """DeepSpeed ZeRO, stages 1, 2 and 3."""

    steps_without_backbone = False
    layout = "deepspeed"
    has_whole_gradients = False
    compiles_backbone = False
    needs_same_ranks = True
    engines = ("representation",)

    def check(self, args: MultiTaskTrainingArguments) -> None:
        self._present: frozenset[str] = frozenset()
        config = self.accelerator.state.deepspeed_plugin.deepspeed_config
        zero = config.get("zero_optimization", {})
        self._splits_parameters = zero.get("stage") == 3
        if self._splits_parameters and not zero.get("stage3_gather_16bit_weights_on_model_save"):
            raise ValueError(
                "`stage3_gather_16bit_weights_on_model_save` must be true in the DeepSpeed config, "
                "or no checkpoint would hold the weights. Set it under `zero_optimization`."
            )
        if zero.get("offload_optimizer", {}).get("device", "none") != "none":
            raise ValueError(
                f"`offload_optimizer` must be left out of the DeepSpeed config, because its "
                f"gradients outlive a step, but got {zero['offload_optimizer']}. Use FSDP2 with "
                f"`cpu_offload`."
            )
        if "optimizer" in config:
            raise ValueError(
                "The DeepSpeed config must not have an `optimizer`, because heads need groups of "
                "their own in it. Choose one with `optim`, and remove the entry."
            )
        if args.on_nonfinite != "stop":
            raise ValueError(
                f"`on_nonfinite` must be 'stop' under DeepSpeed, whose gradients cannot be taken "
                f"back, but got {args.on_nonfinite!r}. Use DDP or FSDP2, or leave it out."
            )

    def check_task_gradients(self, model: MultiTaskModel) -> None:
        # It would be gone through twice: by task, and in the backward that goes on. ZeRO-3 gathers
        # its parameters for the first of them only.
        tasks = tasks_with_pooler(model) if self._splits_parameters else []
        if tasks:
            raise ValueError(
                f"`gradient_method` must go with heads that read the last hidden states under "
                f"ZeRO-3, but those of {tasks} read the pooler of {type(model.backbone).__name__}. "
                f"Give them heads such as {{'name': 'pooled', 'pooling': 'mean'}}, or use ZeRO-2, "
                f"FSDP2 or DDP."
            )

    def place(self, model: nn.Module, device: torch.device) -> None:
        is_split = any(hasattr(parameter, "ds_id") for parameter in model.parameters())
        if self.accelerator.deepspeed_engine_wrapped is None and not is_split:
            model.to(device)

    def share_out(self, optimizer: Optimizer, model: MultiTaskModel) -> None:
        split_by_head(optimizer, model)
        optimizer.register_step_pre_hook(self._pass_over_absent)

    @contextmanager
    def during_forward(
        self, model: nn.Module, tasks: Iterable[str], *, is_last: bool
    ) -> Iterator[None]:
        self._present = frozenset(tasks)
        # DeepSpeed makes its step inside the backward that this flag is set for.
        self.accelerator.gradient_state._set_sync_gradients(is_last)
        try:
            yield
        finally:
            self.accelerator.gradient_state._set_sync_gradients(True)

    def backward(self, total: Tensor) -> None:
        self.accelerator.backward(total, scale_wrt_gas=False)

    def after_step(self, model: MultiTaskModel, tasks: Iterable[str]) -> None:
        # ZeRO-3 overwrites old gradients in the first backward of a step and adds in the others,
        # so that a head which first comes in a later one would add to those of another step.
        zero = self.accelerator.deepspeed_engine_wrapped.engine.optimizer
        gradients = getattr(zero, "grad_partitions_flat_buffer", None)
        if gradients is not None:
            gradients.zero_()

    def _pass_over_absent(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        del args, kwargs
        for group in optimizer.param_groups:
            if group["task"] is not None and group["task"] not in self._present:
                for parameter in group["params"]:
                    parameter.grad = None


def split_by_head(optimizer: Optimizer, model: MultiTaskModel) -> None:
    """Gives the parameters of each head groups of their own, with the settings they have.

    Every group has a ``task`` then; that of the backbone's is ``None``.
    """
    owner = {
        id(parameter): task for task, head in model.heads.items() for parameter in head.parameters()
    }
    groups = []
    for group in optimizer.param_groups:
        by_task: dict[str | None, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            by_task.setdefault(owner.get(id(parameter)), []).append(parameter)
        groups += [{**group, "params": own, "task": task} for task, own in by_task.items()]
    optimizer.param_groups[:] = groups
