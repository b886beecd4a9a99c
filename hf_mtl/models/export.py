# SPDX-License-Identifier: Apache-2.0
"""From a multi-task model to a model of one task that needs no hf_mtl."""

import copy
from typing import TYPE_CHECKING, cast

from transformers import PreTrainedConfig, PreTrainedModel

from hf_mtl.models.backbone import copy_tensors, genuine_model
from hf_mtl.models.heads import HEADS, NativeModule
from hf_mtl.tasks import TaskSpec

if TYPE_CHECKING:
    from hf_mtl.models.modeling import MultiTaskModel

__all__ = ["single_task_model"]


def single_task_model(model: "MultiTaskModel", task: str) -> PreTrainedModel:
    """Genuine model of one task; see ``MultiTaskModel.to_single_task``."""
    spec = model.suite[task]
    if not _is_native(spec):
        native = [name for name, other in model.suite.items() if _is_native(other)]
        raise ValueError(
            f"`name` must be a task with the native head, but {task!r} has the head "
            f"{HEADS.to_config(HEADS.build(spec.head_entry))}, which {spec.task_type.auto_model} "
            f"does not have. Tasks with native heads: {native}."
        )
    head = cast("NativeModule", model.heads[task])
    config = single_task_config(model.backbone.config, task, spec)
    with model.device:
        single = genuine_model(spec.task_type.auto_model, config, model.dtype)
    copy_tensors(model.backbone, single.base_model)
    copy_tensors(head.model, single)
    single.tie_weights()
    single.eval()
    return single


def _is_native(spec: TaskSpec) -> bool:
    return HEADS.build(spec.head_entry).is_native


def single_task_config(config: PreTrainedConfig, task: str, spec: TaskSpec) -> PreTrainedConfig:
    """Config of the backbone with the labels of one task.

    Args:
        config: Config of the backbone.
        task: Name of the task; a task without label names has it as its only label.
        spec: The task.
    """
    config = copy.deepcopy(config)
    config.architectures = config.architectures or []
    kind = spec.task_type.label_kind
    names = kind.output_names(spec.labels or (task,))
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    if spec.task_type.level == "sequence":
        # A config that has one class out of one cannot be read again; scores of choices have none.
        is_of_one = kind.problem_type == "single_label_classification" and len(names) == 1
        config.problem_type = None if is_of_one else kind.problem_type
    return config
