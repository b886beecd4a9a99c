# SPDX-License-Identifier: Apache-2.0
"""The multi-task model: one backbone, one head per task."""

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self

from transformers import AutoConfig, AutoModel, PreTrainedModel

from hf_mtl._typing import Entry
from hf_mtl.models.assembling import merged_backbone, take_head
from hf_mtl.models.backbone import settle_pad_token
from hf_mtl.models.checkpoint import (
    check_loading,
    load_processing_class,
    location,
    naming_broken_files,
)
from hf_mtl.models.checks import check_tasks
from hf_mtl.models.config import MultiTaskConfig
from hf_mtl.models.export import single_task_model
from hf_mtl.models.loading import align_memory, load_backbone
from hf_mtl.models.prediction import is_several, predict
from hf_mtl.models.routing import check_built
from hf_mtl.models.shared_backbone import SharedBackbone
from hf_mtl.models.single_tasks import read_single_tasks
from hf_mtl.tasks import TaskSpec, TaskSuite

__all__ = ["MultiTaskModel"]


class MultiTaskModel(SharedBackbone):
    """One pretrained backbone with a head for each task.

    Everything that works with a ``PreTrainedModel`` works with it: ``save_pretrained``,
    ``from_pretrained``, ``push_to_hub``, ``AutoModel``. It is built with ``from_backbone``.

    Args:
        config: Its configuration.
        backbone: The backbone with its weights; ``None``: a new one with random weights.

    Raises:
        ValueError: If the config names no backbone or no tasks, or a head does not suit its task.
    """

    _processing_class: Any | None = None
    # Arguments of `from_pretrained` that say where the weights, and the tokenizer beside them, lie.
    _location: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def from_backbone(
        cls,
        name_or_path: str | PreTrainedModel,
        tasks: TaskSuite | Mapping[str, TaskSpec],
        *,
        processing_class: Any | None = None,
        **kwargs: Any,
    ) -> Self:
        """A model with pretrained backbone and new heads.

        The weights of the backbone are loaded once and are not copied. Tasks whose label names
        are not known yet get their head from ``set_labels``.

        Args:
            name_or_path: Name on the Hub, folder, or a loaded model of transformers.
            tasks: The tasks.
            processing_class: Tokenizer or image processor. It gives a decoder's config the padding
                token, ``predict`` uses it and ``save_pretrained`` saves it. ``None``: the one that
                lies beside the backbone is loaded when it is needed.
            kwargs: Arguments of ``AutoModel.from_pretrained``, such as ``dtype``.

        Returns:
            The model, in evaluation mode as after ``from_pretrained``.

        Raises:
            OSError: If a weights file is damaged; the message names it.
            ValueError: If ``name_or_path`` is a multi-task model already, or a base model with a
                part too few or too many, or a head does not suit its task or backbone.
        """
        suite = tasks if isinstance(tasks, TaskSuite) else TaskSuite(tasks)
        check_tasks(suite)
        with naming_broken_files(name_or_path, kwargs):
            backbone = load_backbone(name_or_path, **kwargs)
        if isinstance(backbone, MultiTaskModel) or isinstance(name_or_path, MultiTaskModel):
            raise ValueError(
                "`name_or_path` must be a backbone, but it is a multi-task model. Load it with "
                "`from_pretrained`, then use `add_task` and `remove_task`."
            )
        config = MultiTaskConfig(backbone_cfg=backbone.config, tasks=suite.to_list())
        config.name_or_path = backbone.config.name_or_path
        config.dtype = backbone.dtype
        model = cls(config, backbone)
        model._location = location(kwargs)
        if processing_class is not None:
            model.processing_class = processing_class
        elif getattr(config.get_text_config(), "pad_token_id", 0) is None:
            settle_pad_token(config, model.processing_class)
        model.eval()
        return model

    @classmethod
    def from_single_task(
        cls,
        models: Mapping[str, str | PreTrainedModel],
        *,
        backbone: Entry = "first",
        tasks: Mapping[str, TaskSpec] | None = None,
        processing_class: Any | None = None,
    ) -> Self:
        """One model out of several that have learned one task each; ``to_single_task`` backwards.

        Heads keep their weights. The backbones, with whatever else the family puts into them, such
        as the pooler of BERT, are made one. Models that share one backbone keep their logits to the
        last bit; others are best trained on together for a while.

        Args:
            models: For each task a name on the Hub, a folder, or a loaded ``AutoModelFor...``.
            backbone: Entry of the merging method: ``"first"``, ``"average"``, or for example
                ``{"name": "ties", "base": "bert-base-uncased", "density": 0.2}``.
            tasks: Tasks whose type or labels are others than the config of their model says, and
                what it cannot say, such as columns.
            processing_class: Tokenizer or image processor. ``None``: that of the first model.

        Returns:
            The model, in evaluation mode, with weights of its own.

        Raises:
            KeyError: If the merging method is unknown, or a task of ``tasks`` has no model.
            OSError: If a weights file is damaged, or there is none in safetensors.
            TypeError: If ``models`` is no mapping, or a field of the method is unknown or missing.
            ValueError: If the models differ in architecture or vocabulary, or do not suit their
                tasks.
        """
        singles = read_single_tasks(models, tasks or {})
        model = cls.from_backbone(
            merged_backbone(singles, backbone),
            {task: single.spec for task, single in singles.items()},
            processing_class=processing_class,
        )
        for task, single in singles.items():
            take_head(task, model.heads[task], single)
        return model

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any
    ) -> Any:
        """A saved model, with exactly the weights that were saved.

        Args:
            pretrained_model_name_or_path: Name on the Hub, or folder.
            model_args: As in transformers.
            kwargs: As in transformers.

        Raises:
            OSError: If a weights file is damaged; the message names it.
            ValueError: If the checkpoint is no multi-task model, or lacks heads or tensors, or has
                others than its config describes.
        """
        wants_info = kwargs.pop("output_loading_info", False)
        ignores_sizes = kwargs.pop("ignore_mismatched_sizes", False)
        name = pretrained_model_name_or_path
        with naming_broken_files(name, kwargs):
            loaded: Any = super().from_pretrained(
                name, *model_args, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs
            )
        model, info = loaded
        check_loading(str(name), info, ignore_mismatched_sizes=ignores_sizes)
        align_memory(model)
        model._location = location(kwargs)
        model._freeze_bypassed()
        return (model, info) if wants_info else model

    def save_pretrained(  # type: ignore[override]  # the same arguments, by keyword
        self, save_directory: str | os.PathLike[str], **kwargs: Any
    ) -> None:
        """Saves weights, config, and the processing class if there is one.

        Args:
            save_directory: Folder.
            kwargs: As in transformers.
        """
        # Tensors keep the names that they have in the model. Upstream gives those of some families
        # (ViT, Swin, ...) older names, which a Trainer that resumes does not find again.
        kwargs.setdefault("save_original_format", False)
        super().save_pretrained(save_directory, **kwargs)
        if kwargs.get("is_main_process", True) and self.processing_class is not None:
            self.processing_class.save_pretrained(save_directory)

    @property
    def processing_class(self) -> Any | None:
        """Tokenizer or image processor: the one given, or the one beside the model's weights."""
        if self._processing_class is None:
            self._processing_class = load_processing_class(
                self.name_or_path, self.main_input_name, self._location
            )
        return self._processing_class

    @processing_class.setter
    def processing_class(self, processing_class: Any) -> None:
        self._processing_class = processing_class
        settle_pad_token(self.config, processing_class)

    def predict(
        self,
        inputs: Any,
        tasks: str | Iterable[str] | None = None,
        batch_size: int = 32,
        processing_class: Any | None = None,
    ) -> Any:
        """Readable answers to raw inputs, with dropout off.

        A text is cut off after the ``max_length`` of a task. A task on words then answers only for
        the words that fit.

        Args:
            inputs: One input, or several as a list or another sequence, such as a column of a data
                set. An input is a text, a mapping with the roles of a task's input, such as
                ``{"text": ..., "text_pair": ...}`` or ``{"text": ..., "choices": [...]}``, a
                picture (PIL, array or tensor), or a text as words: a tuple of strings, or a list
                of strings among several inputs.
            tasks: Tasks to answer. ``None``: for each input all that it suits. A task that was
                trained on pairs answers pairs only, the others only single texts.
            batch_size: Rows of one pass.
            processing_class: Tokenizer or image processor. ``None``: the model's own.

        Returns:
            For one input a dictionary ``{task: answer}``; for several, a list of such.

        Raises:
            KeyError: If a task is unknown.
            TypeError: If an input suits no task, or not a task asked by name.
            ValueError: If there is no processing class.
        """
        if processing_class is None:
            processing_class = self.processing_class
        names = None if tasks is None else [tasks] if isinstance(tasks, str) else list(tasks)
        several = is_several(inputs)
        rows = list(inputs) if several else [inputs]
        answers = predict(
            self, rows, names, batch_size=batch_size, processing_class=processing_class
        )
        return answers if several else answers[0]

    def to_single_task(self, name: str) -> PreTrainedModel:
        """Genuine ``AutoModelFor...`` model of one task, with equal logits and its own weights.

        Where it is saved, save ``processing_class`` as well: without it transformers makes up a
        tokenizer that knows no word, and does not say so.

        Args:
            name: The task.

        Returns:
            A model, in evaluation mode, that needs no hf_mtl.

        Raises:
            KeyError: If the task is unknown.
            ValueError: If its head is not the native one.
        """
        check_built([name], self.suite, self.heads)
        return single_task_model(self, name)


AutoConfig.register(MultiTaskConfig.model_type, MultiTaskConfig)
AutoModel.register(MultiTaskConfig, MultiTaskModel)
