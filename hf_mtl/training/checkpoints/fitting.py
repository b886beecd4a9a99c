# SPDX-License-Identifier: Apache-2.0
"""Whether the tensors of a checkpoint are those of the model that is to be restored."""

from collections.abc import Collection
from pathlib import Path

from torch import Tensor, nn

from hf_mtl.models.parameters import task_of
from hf_mtl.training.checkpoints.contents import tensor_names

__all__ = ["check_complete"]

_SHOWN = 8


def check_complete(
    folder: str | Path, model: nn.Module, *, changed_tasks: Collection[str] = ()
) -> None:
    """Raises unless a checkpoint holds exactly the tensors of a model, by the same names.

    Upstream restores what fits and warns about the rest, so that a run goes on with random
    weights.

    Args:
        folder: Checkpoint with safetensors, whole or sharded.
        model: The model that is to be restored.
        changed_tasks: Tasks that were added or removed since; their heads may differ.

    Raises:
        ValueError: If a file is damaged, or tensors are missing or left over.
    """
    found = set(tensor_names(Path(folder)))
    expected = model.state_dict(keep_vars=True)
    # Tied weights are saved under one of their names.
    saved = {_identity(expected[name]) for name in found & expected.keys()}
    missing = [
        name
        for name, tensor in expected.items()
        if name not in found and _identity(tensor) not in saved
    ]
    left_over = sorted(found - expected.keys())
    for names, what in ((missing, "lacks"), (left_over, "has, beyond the model,")):
        names = [name for name in names if task_of(name) not in changed_tasks]
        if names:
            shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
            raise ValueError(
                f"The checkpoint {str(folder)!r} must fit the model, but it {what} {len(names)} "
                f"tensors: {shown}. Resume with the tasks and the backbone it was trained with."
            )


def _identity(tensor: Tensor) -> tuple[str, int]:
    """The same for tensors that share their memory.

    Shards and the placeholders of ZeRO have no memory of their own: there it is the object.
    """
    is_plain = type(tensor) in (Tensor, nn.Parameter) and tensor.numel() > 0
    if is_plain and (address := tensor.data_ptr()):
        return "memory", address
    return "object", id(tensor)
