# SPDX-License-Identifier: Apache-2.0
"""The state of an optimizer by names of parameters, so that tasks may come and go.

PyTorch keeps it by position: with one head more, every later parameter would get the moments of
another.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

__all__ = ["load_whole_state", "loading_by_name", "parameter_names", "plain_name"]

# What wrappers put into names: compilation, activation checkpointing, FSDP1.
_WRAPPERS = ("_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.")


def parameter_names(model: nn.Module, optimizer: Any) -> list[list[str]]:
    """Names of the parameters of each group, in the optimizer's order.

    Args:
        model: The model. Parameters that are none of it are numbered.
        optimizer: Its optimizer.
    """
    name_by_id = {id(parameter): plain_name(name) for name, parameter in model.named_parameters()}
    others = count()
    return [
        [name_by_id.get(id(each)) or f"other {next(others)}" for each in group["params"]]
        for group in optimizer.param_groups
    ]


@contextmanager
def loading_by_name(
    optimizer: Any, saved: Sequence[Sequence[str]] | None, current: Sequence[Sequence[str]]
) -> Iterator[None]:
    """Inside, ``optimizer.load_state_dict`` matches parameters by name.

    Parameters without saved state start fresh, state without a parameter is dropped.

    Args:
        optimizer: The optimizer.
        saved: Names by group of the optimizer whose state is loaded; ``None`` if nobody wrote them
            down.
        current: Names by group of this one.
    """
    if saved is None or [list(names) for names in saved] == [list(names) for names in current]:
        yield  # as it stands, position by position
        return

    def by_name(optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any]:
        del optimizer
        return _rearranged(state_dict, saved, current)

    own: Any = optimizer.optimizer if isinstance(optimizer, AcceleratedOptimizer) else optimizer
    handle = own.register_load_state_dict_pre_hook(by_name)
    try:
        yield
    finally:
        handle.remove()


def load_whole_state(
    optimizer: Any, state_dict: Mapping[str, Any], current: Sequence[Sequence[str]]
) -> None:
    """Loads state that is keyed by names and not sharded, as FSDP2 gathers it, into its shards.

    PyTorch's own loading wants state for every parameter; a head that no step has used has none.

    Args:
        optimizer: The optimizer of a sharded model.
        state_dict: State by names.
        current: Names by group of this optimizer.
    """
    state = {}
    indices = count()
    groups = []
    for names, own, saved in zip(
        current, optimizer.param_groups, state_dict["param_groups"], strict=True
    ):
        index_by_name = {name: next(indices) for name in names}
        groups.append({**saved, "params": list(index_by_name.values())})
        for (name, index), parameter in zip(index_by_name.items(), own["params"], strict=True):
            if name in state_dict["state"]:
                whole = state_dict["state"][name]
                state[index] = {key: _shard_of(whole[key], parameter) for key in whole}
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _shard_of(value: Any, parameter: Tensor) -> Any:
    """This rank's part of a value that has the shape of its parameter."""
    if not isinstance(parameter, DTensor) or getattr(value, "shape", None) != parameter.shape:
        return value
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(value.to(parameter.device), mesh, placements, src_data_rank=None)


def _rearranged(
    state_dict: dict[str, Any], saved: Sequence[Sequence[str]], current: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """A state dict for the current names; settings of a group stay with its position."""
    groups = state_dict["param_groups"]
    if len(groups) != len(current):
        raise ValueError(
            f"The optimizer must have as many parameter groups as in the checkpoint, but it has "
            f"{len(current)} instead of {len(groups)}. Resume with the optimizer it was saved with."
        )
    saved_index = {
        name: index
        for names, group in zip(saved, groups, strict=True)
        for name, index in zip(names, group["params"], strict=True)
    }
    indices = count()
    state, new_groups = {}, []
    for names, group in zip(current, groups, strict=True):
        index_by_name = {name: next(indices) for name in names}
        new_groups.append({**group, "params": list(index_by_name.values())})
        for name, index in index_by_name.items():
            if (old := saved_index.get(name)) in state_dict["state"]:
                state[index] = state_dict["state"][old]
    return {**state_dict, "state": state, "param_groups": new_groups}


def plain_name(name: str) -> str:
    """Name that a parameter has in the model, without what wrappers put into it."""
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    return name
