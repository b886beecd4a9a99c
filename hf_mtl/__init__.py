# SPDX-License-Identifier: Apache-2.0
"""Multi-task training for Hugging Face Transformers: one backbone, many tasks."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from hf_mtl.hub.pipeline import MultiTaskPipeline
    from hf_mtl.models import MultiTaskConfig, MultiTaskModel, MultiTaskOutput
    from hf_mtl.tasks import TaskSpec, TaskSuite
    from hf_mtl.training import MultiTaskTrainer, MultiTaskTrainingArguments

__all__ = [
    "MultiTaskConfig",
    "MultiTaskModel",
    "MultiTaskOutput",
    "MultiTaskPipeline",
    "MultiTaskTrainer",
    "MultiTaskTrainingArguments",
    "TaskSpec",
    "TaskSuite",
    "__version__",
]

_MODULE_BY_NAME = {
    "MultiTaskConfig": "hf_mtl.models",
    "MultiTaskModel": "hf_mtl.models",
    "MultiTaskOutput": "hf_mtl.models",
    "MultiTaskPipeline": "hf_mtl.hub.pipeline",
    "MultiTaskTrainer": "hf_mtl.training",
    "MultiTaskTrainingArguments": "hf_mtl.training",
    "TaskSpec": "hf_mtl.tasks",
    "TaskSuite": "hf_mtl.tasks",
}


def __getattr__(name: str) -> Any:
    # Resolved on first use: importing torch and transformers takes seconds, which `hf-mtl --help`
    # and a look at the version should not cost.
    if name not in _MODULE_BY_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_BY_NAME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
