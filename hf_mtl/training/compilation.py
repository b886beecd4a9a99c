# SPDX-License-Identifier: Apache-2.0
"""What ``torch_compile`` compiles: the backbone, once for all tasks.

Upstream compiles the model as a whole, whose forward depends on the tasks of a batch: it is traced
anew for each set of tasks, up to torch's limit of recompilations, and broken up at every loss. The
backbone is nearly all of the work, and the same for all tasks.
"""

from typing import Any

from accelerate.utils import DynamoBackend

from hf_mtl.models import MultiTaskModel

__all__ = ["compile_backbone"]


def compile_backbone(model: MultiTaskModel, accelerator: Any) -> None:
    """Compiles the backbone in its place, if the accelerator was to compile the model.

    Names of parameters and what is saved stay as they are, and so does a backbone that is compiled
    already. Regions of the model, if accelerate was asked for these, are left to it.

    Args:
        model: The model, not wrapped.
        accelerator: The trainer's; it compiles nothing afterwards.
    """
    plugin = accelerator.state.dynamo_plugin
    if plugin.backend == DynamoBackend.NO or plugin.use_regional_compilation:
        return
    settings = plugin.to_kwargs()
    plugin.backend = DynamoBackend.NO
    if model.backbone._compiled_call_impl is None:
        model.backbone.compile(**settings)
