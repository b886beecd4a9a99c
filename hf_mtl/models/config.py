# SPDX-License-Identifier: Apache-2.0
"""Configuration of a multi-task model: that of its backbone, and its tasks."""

import os
from typing import Any, ClassVar

from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from hf_mtl.tasks import TaskSuite

__all__ = ["MultiTaskConfig"]


class MultiTaskConfig(PreTrainedConfig):
    """What ``config.json`` of a multi-task model holds.

    Args:
        backbone_cfg: Configuration of the backbone, of any model type. Not called
            ``backbone_config``, a key that transformers gives a meaning of its own.
        tasks: The tasks as ``TaskSuite.to_list`` gives them. A list, because transformers sorts
            the keys of mappings when it writes JSON, and the order of tasks is kept.
        balancing: How the tasks were balanced in the training that it was saved from: entries of
            the ``weighting`` and the ``gradient_method``. ``None``: not trained yet.

    Raises:
        KeyError: If a task has an unknown type.
        TypeError: If a task has an unknown field.
        ValueError: If a task has a wrong value, or there is none.
    """

    model_type: ClassVar[str] = "hf_mtl"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "backbone_cfg": SubConfigSpec(config_class=AutoConfig, model_type="bert", optional=True)
    }

    backbone_cfg: dict[str, Any] | PreTrainedConfig | None = None
    tasks: list[dict[str, Any]] | None = None
    balancing: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if isinstance(self.backbone_cfg, PreTrainedConfig):
            # What is not given here is reset in the nested config, where it may be chosen already.
            for name in ("attn_implementation", "experts_implementation"):
                kwargs.setdefault(name, getattr(self.backbone_cfg, f"_{name}"))
        super().__post_init__(**kwargs)
        # transformers builds one without arguments to find the defaults; such a one has no tasks.
        if self.tasks is not None:
            self.tasks = self.suite.to_list()

    @property
    def suite(self) -> TaskSuite:
        """The tasks."""
        return TaskSuite.from_list(self.tasks or [])

    def get_text_config(self, *args: Any, **kwargs: Any) -> PreTrainedConfig:
        """Configuration of the backbone's text part; that is where special tokens stand."""
        if not isinstance(self.backbone_cfg, PreTrainedConfig):
            return self
        return self.backbone_cfg.get_text_config(*args, **kwargs)

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Contents of ``config.json``.

        Raises:
            ValueError: If it is the configuration of another kind of model, which transformers
                would read with no more than a warning.
        """
        config_dict, unused = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        found = config_dict.get("model_type")
        if found != cls.model_type:
            name = os.fspath(pretrained_model_name_or_path)
            raise ValueError(
                f"`pretrained_model_name_or_path` must be a multi-task model saved by hf_mtl, but "
                f"{name!r} is a model of type {found!r}. To put new heads on it, use "
                f"`MultiTaskModel.from_backbone({name!r}, tasks)`."
            )
        return config_dict, unused
