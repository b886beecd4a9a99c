# SPDX-License-Identifier: Apache-2.0
"""Models of one task each, as `AutoModelFor...` classes give them, and what their tasks are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import transformers
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from hf_mtl._checks import check_known
from hf_mtl.models.backbone import genuine_class
from hf_mtl.models.checkpoint import naming_broken_files
from hf_mtl.models.config import MultiTaskConfig
from hf_mtl.models.heads import HEADS
from hf_mtl.tasks import TASK_TYPES, TaskSpec

__all__ = ["SingleTask", "read_single_tasks"]


@dataclass(frozen=True)
class SingleTask:
    """A task and the model that has learned it alone.

    Attributes:
        spec: The task, with its label names.
        model: Genuine model of the task type's Auto class.
    """

    spec: TaskSpec
    model: PreTrainedModel


def read_single_tasks(
    models: Mapping[str, str | PreTrainedModel], tasks: Mapping[str, TaskSpec]
) -> dict[str, SingleTask]:
    """Models and tasks by the names of the tasks; see ``MultiTaskModel.from_single_task``."""
    if not isinstance(models, Mapping) or not models:
        raise TypeError(
            f"`models` must map each task to its model, such as "
            f"{{'topic': 'folder'}}, but got {models!r}."
        )
    for task in tasks:
        check_known("task of `models`", task, models)
    return {task: _read(task, given, tasks.get(task)) for task, given in models.items()}


def _read(task: str, given: Any, spec: TaskSpec | None) -> SingleTask:
    config = given.config if isinstance(given, PreTrainedModel) else _config(given)
    if isinstance(config, MultiTaskConfig):
        raise ValueError(
            f"`models` must be models of one task, but that of {task!r} is a multi-task model. "
            f"Take one task out of it with `to_single_task`."
        )
    name = (
        type(given).__name__
        if isinstance(given, PreTrainedModel)
        else (config.architectures or ["model of unknown class"])[0]
    )
    spec = _found_spec(task, name, config) if spec is None else _with_labels(task, spec, config)
    _check_class(task, name, config, spec)
    if isinstance(given, PreTrainedModel):
        return SingleTask(spec, given)
    return SingleTask(spec, _load(task, given, spec.task_type.auto_model))


def _config(name: Any) -> PreTrainedConfig:
    config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    assert isinstance(config, PreTrainedConfig)
    return config


def _found_spec(task: str, name: str, config: PreTrainedConfig) -> TaskSpec:
    """The task that a model was made for, as its class and its config tell."""
    known = {
        kind: genuine_class(TASK_TYPES.get(kind).auto_model, config) for kind in TASK_TYPES.names()
    }
    fitting = [kind for kind, class_name in known.items() if class_name == name]
    if not fitting:
        raise ValueError(
            f"`models` must have the head of a task type, but that of {task!r} is a {name}. For "
            f"{config.model_type!r} there are: {sorted(set(filter(None, known.values())))}."
        )
    told = fitting if len(fitting) == 1 else [kind for kind in fitting if _tells(config, kind)]
    if not told:
        raise ValueError(
            f"`tasks` must say of which type {task!r} is, because its model, a {name}, could be of "
            f"{fitting}. Give its `TaskSpec`."
        )
    # Types that a user registers for the same models come last, and have to be given.
    return _with_labels(task, TaskSpec(told[0]), config)


def _tells(config: PreTrainedConfig, kind: str) -> bool:
    """Whether of several types with one class of models a config speaks of this one.

    That is the one with its kind of problem that reads one text a row and has an output for each
    label. The others (grades, preferences) look the same in a config, and have to be given.
    """
    label_kind = TASK_TYPES.build(kind).label_kind
    problem = config.problem_type or (
        "regression" if config.num_labels == 1 else "single_label_classification"
    )
    names = _output_names(config)
    is_plain = not label_kind.has_names or label_kind.output_names(names) == names
    return label_kind.problem_type == problem and is_plain and not label_kind.per_sequence


def _output_names(config: PreTrainedConfig) -> tuple[str, ...]:
    by_id = cast("dict[int, str]", config.id2label or {})
    return tuple(str(by_id[index]) for index in sorted(by_id))


def _with_labels(task: str, spec: TaskSpec, config: PreTrainedConfig) -> TaskSpec:
    """The task with the label names of the config, if it has no own."""
    if not spec.needs_labels:
        return spec
    names = _output_names(config)
    found = spec.replace(labels=names)
    if found.num_outputs != len(names):
        raise ValueError(
            f"`labels` of task {task!r} must be given in `tasks`, because the config of a "
            f"{spec.type} model names its outputs instead: {list(names)}."
        )
    return found


def _check_class(task: str, name: str, config: PreTrainedConfig, spec: TaskSpec) -> None:
    """Raises unless a model is of the class that has the native head of its task."""
    if not (head := HEADS.build(spec.head_entry)).is_native:
        raise ValueError(
            f"`head` of task {task!r} must be 'native', the one that its model has, but got "
            f"{HEADS.to_config(head)}. Leave it out."
        )
    expected = genuine_class(spec.task_type.auto_model, config)
    if name != expected:
        raise ValueError(
            f"`models` must suit their tasks, but {task!r} is a {spec.type} task, for which "
            f"{config.model_type!r} has {expected}, and its model is a {name}. Give another type "
            f"in `tasks`, or another model."
        )


def _load(task: str, name: str, auto_model: str) -> PreTrainedModel:
    """Model with its head. Only safetensors are read, and no code of the checkpoint is run."""
    with naming_broken_files(name, {}):
        model, info = getattr(transformers, auto_model).from_pretrained(
            name, output_loading_info=True, use_safetensors=True, trust_remote_code=False
        )
    if missing := sorted(info["missing_keys"]):
        raise ValueError(
            f"`models` must have all weights of their class, but the checkpoint {str(name)!r} of "
            f"{task!r} has none for {missing[:5]}. Save the fine-tuned model again as a whole."
        )
    assert isinstance(model, PreTrainedModel)
    return model
