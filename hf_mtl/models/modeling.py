# SPDX-License-Identifier: Apache-2.0
"""The multi-task model: one backbone, one head per task."""

import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self, cast

from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from hf_mtl._checks import check_known
from hf_mtl.models.backbone import (
    align_memory,
    backbone_inputs,
    counts_positions_from_zero,
    freeze,
    load_backbone,
    settle_pad_token,
)
from hf_mtl.models.checkpoint import (
    check_loading,
    load_processing_class,
    location,
    naming_broken_files,
)
from hf_mtl.models.checks import check_tasks
from hf_mtl.models.config import MultiTaskConfig
from hf_mtl.models.export import single_task_model
from hf_mtl.models.heads import HEADS, HeadModule
from hf_mtl.models.losses import task_losses
from hf_mtl.models.outputs import MultiTaskOutput
from hf_mtl.models.prediction import is_several, predict
from hf_mtl.models.routing import check_built, task_logits, tasks_to_run
from hf_mtl.tasks import TaskSpec, TaskSuite

__all__ = ["MultiTaskModel"]


class MultiTaskModel(PreTrainedModel):
    """One pretrained backbone with a head for each task.

    Everything that works with a ``PreTrainedModel`` works with it: ``save_pretrained``,
    ``from_pretrained``, ``push_to_hub``, ``AutoModel``. It is built with ``from_backbone``.

    Args:
        config: Its configuration.
        backbone: The backbone with its weights; ``None``: a new one with random weights.

    Raises:
        ValueError: If the config names no backbone or no tasks, or a head does not suit its task.
    """

    config: MultiTaskConfig
    base_model_prefix = "backbone"
    supports_gradient_checkpointing: bool
    # Losses are divided by denominators of ours; the Trainer must not count labels and divide too.
    accepts_loss_kwargs = False
    # What is really supported is the backbone's to say.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    main_input_name: str
    _frozen: frozenset[str] = frozenset()
    _processing_class: Any | None = None
    # Arguments of `from_pretrained` that say where the weights, and the tokenizer beside them, lie.
    _location: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, config: MultiTaskConfig, backbone: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        if not isinstance(config.backbone_cfg, PreTrainedConfig):
            raise ValueError(
                f"`backbone_cfg` must be the configuration of a backbone, but got "
                f"{config.backbone_cfg!r}. Use `MultiTaskModel.from_backbone`."
            )
        self._suite = config.suite
        check_tasks(self._suite)
        if backbone is None:
            backbone = AutoModel.from_config(config.backbone_cfg)
        self.backbone: PreTrainedModel = backbone
        self._counts_from_zero = counts_positions_from_zero(backbone)
        self.main_input_name = self.backbone.main_input_name
        self.supports_gradient_checkpointing = self.backbone.supports_gradient_checkpointing
        self.heads = nn.ModuleDict()
        for task in self._suite:
            self._build_head(task)
        self.post_init()
        # Patterns by which families excuse tensors in old checkpoints of theirs. Ours hold exactly
        # our tensors, and a pattern such as "pooler" would excuse the loss of a trained one.
        self._keys_to_ignore_on_load_missing = set()
        self._keys_to_ignore_on_load_unexpected = set()
        self._freeze_bypassed()

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
            ValueError: If ``name_or_path`` is a multi-task model already, or a head does not suit
                its task or backbone.
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
    def suite(self) -> TaskSuite:
        """The tasks."""
        return self._suite

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

    def forward(
        self,
        tasks: Sequence[str] | None = None,
        labels: Mapping[str, Tensor] | None = None,
        rows: Mapping[str, Tensor] | None = None,
        denominators: Mapping[str, float | Tensor] | None = None,
        **inputs: Any,
    ) -> MultiTaskOutput:
        """Logits and losses of some tasks, from one pass through the backbone.

        Args:
            tasks: Tasks to run. ``None``: those of ``labels``, or all if there are no labels.
            labels: Labels of each task, ``[b]`` or ``[b, L]``; missing ones are ``IGNORE_INDEX`` or
                NaN.
            rows: For each task the rows of the batch that are its, ``[b]`` indices. ``None``, or no
                entry: all rows.
            denominators: What the sum of losses of each task of ``labels`` is divided by. ``None``:
                the weight of its labelled elements in this batch, which gives the mean.
            inputs: Inputs of the backbone, ``[B, ...]``.

        Returns:
            Logits of every task run, and a loss for each with a labelled element; with
            ``denominators`` for each of ``labels``.

        Raises:
            KeyError: If a task is unknown.
            ValueError: If the labels of a task are not known yet, so that it has no head, or labels
                are given for a task that is not run.
        """
        labels = labels or {}
        tasks = tasks_to_run(tasks, labels, self.suite, self.heads)
        prepared = backbone_inputs(self.backbone, inputs, counts_from_zero=self._counts_from_zero)
        output = self.backbone(**prepared)
        logits = task_logits(self.heads, tasks, output, inputs, rows or {})
        if not labels:
            return MultiTaskOutput(logits=logits)
        losses = task_losses(self.suite, logits, labels, denominators)
        return MultiTaskOutput(losses=losses, logits=logits)

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
                set. An input is a text, a text and its pair as ``{"text": ..., "text_pair": ...}``,
                a picture (PIL, array or tensor), or a text as words: a tuple of strings, or a list
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

    def add_task(self, name: str, spec: TaskSpec) -> None:
        """Adds a task with a new head; nothing else changes.

        Args:
            name: Its name.
            spec: The task. Without label names it gets its head from ``set_labels``.

        Raises:
            ValueError: If the name is taken or unsafe, or the head does not suit the task.
        """
        suite = self.suite.with_task(name, spec)
        check_tasks(suite)
        self._change_suite(suite)
        self._build_head(name)
        self._freeze_bypassed()

    def remove_task(self, name: str) -> None:
        """Removes a task and its head.

        Args:
            name: The task.

        Raises:
            KeyError: If the task is unknown.
            ValueError: If it is the only one.
        """
        check_known("task", name, self.suite)
        if len(self.suite) == 1:
            raise ValueError(
                f"`name` must leave at least one task, but {name!r} is the only one. Add another "
                f"task first."
            )
        self._change_suite(self.suite.without_task(name))
        if name in self.heads:
            del self.heads[name]
        self._freeze_bypassed()

    def set_labels(self, labels: Mapping[str, Sequence[str]]) -> None:
        """Gives tasks their label names, and those that had none yet their heads.

        Args:
            labels: Names of each task, in the order of their ids.

        Raises:
            KeyError: If a task is unknown, or a label that its loss is told of.
            TypeError: If the names of a task are no list of strings.
            ValueError: If a task has other names already, or its labels are numbers.
        """
        specs = dict(self.suite)
        for task, names in labels.items():
            if isinstance(names, str):
                raise TypeError(
                    f"`labels` of task {task!r} must be a list of names, but got {names!r}."
                )
            known = self.suite[task].labels
            if known is not None and known != tuple(names):
                raise ValueError(
                    f"`labels` of task {task!r} must stay {list(known)}, for which its head was "
                    f"built, but got {list(names)}. Remove the task and add it again."
                )
            specs[task] = specs[task].replace(labels=tuple(names))
        suite = TaskSuite(specs)
        check_tasks(suite)
        self._change_suite(suite)
        for task in labels:
            if task not in self.heads:
                self._build_head(task)
        self._freeze_bypassed()

    def _change_suite(self, suite: TaskSuite) -> None:
        self._suite = suite
        self.config.tasks = suite.to_list()

    def _build_head(self, task: str) -> None:
        spec = self.suite[task]
        if not spec.needs_labels:
            head = HEADS.build(spec.head_entry).build(spec, self.backbone)
            self.heads[task] = head.train(self.training)

    def _freeze_bypassed(self) -> None:
        """Freezes the parameters of the backbone that no head can reach."""
        bypassed: frozenset[str] = frozenset()
        if len(self.heads) == len(self.suite):
            modules = cast("Iterable[HeadModule]", self.heads.values())
            bypassed = frozenset.intersection(*(head.bypassed for head in modules))
        self._frozen = freeze(self.backbone, bypassed, self._frozen)


AutoConfig.register(MultiTaskConfig.model_type, MultiTaskConfig)
AutoModel.register(MultiTaskConfig, MultiTaskModel)
