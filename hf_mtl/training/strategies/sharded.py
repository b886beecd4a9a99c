# SPDX-License-Identifier: Apache-2.0
"""Fully sharded data parallelism, version 2: every parameter split over the ranks by itself."""

import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import final

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule

from hf_mtl.models import MultiTaskModel
from hf_mtl.training.arguments import MultiTaskTrainingArguments
from hf_mtl.training.strategies.base import Strategy

__all__ = ["FullySharded"]


@final
class FullySharded(Strategy):
    """FSDP2.

    Every parameter is sharded by itself, so a head that no rank has run has no gradient.
    """

    steps_without_backbone = False
    layout = "fsdp"
    has_whole_gradients = False
    compiles_backbone = False
    # Gradients by task come out of its own exchange, sharded and averaged, one backward each.
    engines = ("streaming", "retained", "representation")
    _defers = True

    def check(self, args: MultiTaskTrainingArguments) -> None:
        plugin = self.accelerator.state.fsdp_plugin
        if plugin.fsdp_version != 2:
            raise ValueError(
                f"`fsdp_config['version']` must be 2, but got {plugin.fsdp_version}. FSDP1 joins "
                f"parameters to flat ones, in which momentum and weight decay move the heads of "
                f"absent tasks."
            )
        if plugin.state_dict_type.name != "FULL_STATE_DICT":
            raise ValueError(
                f"`fsdp_config['state_dict_type']` must be 'FULL_STATE_DICT', so that every "
                f"checkpoint can be loaded with `from_pretrained`, but got "
                f"{plugin.state_dict_type.name!r}."
            )
        # Gradients that were not exchanged yet cannot be taken back, so they are exchanged at once
        # where a step may have to be begun anew.
        self._defers = args.on_nonfinite == "stop"

    def wrapped(self, model: nn.Module) -> nn.Module:
        if isinstance(model, MultiTaskModel):
            plugin = self.accelerator.state.fsdp_plugin
            if plugin.transformer_cls_names_to_wrap is None:
                plugin.transformer_cls_names_to_wrap = _layers(model)
            if plugin.mixed_precision_policy is not None:
                # Autocast casts what has to be. Labels and losses must keep their precision.
                plugin.mixed_precision_policy = replace(
                    plugin.mixed_precision_policy, cast_forward_inputs=False, output_dtype=None
                )
            self._share_heads(model)
        # Nobody changes an output in place, so views are harmless.
        warnings.filterwarnings("ignore", message=r".*returned a view tensor.*")
        return model

    def place(self, model: nn.Module, device: torch.device) -> None:
        if not isinstance(model, FSDPModule):
            model.to(device)

    def during_forward(
        self, model: nn.Module, tasks: Iterable[str], *, is_last: bool
    ) -> AbstractContextManager[None]:
        return self.accelerator.no_sync(model) if self._defers and not is_last else nullcontext()

    def take_back(self, model: nn.Module) -> None:
        self.after_pass(model)
        super().take_back(model)

    def after_pass(self, model: nn.Module) -> None:
        # As a backward would have done; while it is whole, the model shows other parameters than
        # those that are optimized and saved.
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()


def _layers(model: MultiTaskModel) -> list[str]:
    """Classes of the layers that are sharded as units.

    Without those around the input embedding, which accelerate makes a unit of its own.
    """
    embedding = model.get_input_embeddings()
    around = {
        type(module).__name__
        for module in model.modules()
        if any(part is embedding for part in module.modules())
    }
    named = {type(module).__name__ for module in model.modules()}
    return sorted((set(model._no_split_modules or ()) & named) - around)
