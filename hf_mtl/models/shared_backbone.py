# SPDX-License-Identifier: Apache-2.0
"""A backbone that tasks share: how it is run with their heads, and how the tasks are changed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from hf_mtl.models.backbone import backbone_inputs, counts_positions_from_zero, freeze
from hf_mtl.models.checks import check_tasks
from hf_mtl.models.config import MultiTaskConfig
from hf_mtl.models.editing import suite_with_labels, suite_with_task, suite_without_task
from hf_mtl.models.heads import HEADS, HeadModule
from hf_mtl.models.loading import new_backbone
from hf_mtl.models.losses import task_losses
from hf_mtl.models.outputs import MultiTaskOutput
from hf_mtl.models.routing import task_logits, tasks_to_run
from hf_mtl.tasks import TaskSpec, TaskSuite

__all__ = ["SharedBackbone"]


class SharedBackbone(PreTrainedModel):
    """One backbone with a head for each task; abstract, ``MultiTaskModel`` is what is used.

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
            backbone = new_backbone(config.backbone_cfg)
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

    @property
    def suite(self) -> TaskSuite:
        """The tasks."""
        return self._suite

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
            inputs: Inputs of the backbone, ``[B, ...]``. Where rows are several sequences (those of
                choices), ``rows`` holds the indices of these, and ``row_of_sequence`` says beside
                the inputs of which row each is, ``[B]``; without it each is a row.

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
        logits = task_logits(self.suite, self.heads, tasks, output, inputs, rows or {})
        if not labels:
            return MultiTaskOutput(logits=logits)
        losses = task_losses(self.suite, logits, labels, denominators)
        return MultiTaskOutput(losses=losses, logits=logits)

    def add_task(self, name: str, spec: TaskSpec) -> None:
        """Adds a task with a new head; nothing else changes.

        Args:
            name: Its name.
            spec: The task. Without label names it gets its head from ``set_labels``.

        Raises:
            ValueError: If the name is taken or unsafe, or the head does not suit the task.
        """
        self._change_suite(suite_with_task(self.suite, name, spec))
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
        self._change_suite(suite_without_task(self.suite, name))
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
        self._change_suite(suite_with_labels(self.suite, labels))
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
        """Freezes the parameters of the backbone that no head trains.

        Where all tasks are detached it stays as it is, for tasks that are added later.
        """
        bypassed: frozenset[str] = frozenset()
        if len(self.heads) == len(self.suite):
            training = [task for task, spec in self.suite.items() if not spec.detached]
            heads = [self.heads[task] for task in training or self.suite]
            modules = cast("Iterable[HeadModule]", heads)
            bypassed = frozenset.intersection(*(head.bypassed for head in modules))
        self._frozen = freeze(self.backbone, bypassed, self._frozen)
