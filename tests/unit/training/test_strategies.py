# SPDX-License-Identifier: Apache-2.0
"""Which strategy a run has, what each refuses, and the groups that ZeRO needs."""

from types import SimpleNamespace

import pytest
import torch
import toy_runs
from transformers import BertModel

from hf_mtl import MultiTaskModel, MultiTaskTrainingArguments
from hf_mtl.training.ranks import Ranks
from hf_mtl.training.strategies import Strategy, strategy_of
from hf_mtl.training.strategies.data_parallel import DataParallel
from hf_mtl.training.strategies.sharded import FullySharded
from hf_mtl.training.strategies.zero import Zero, split_by_head

TWO = SimpleNamespace(world_size=2, rank=0)


def accelerator(**plugins):
    return SimpleNamespace(state=SimpleNamespace(**plugins))


def arguments(tmp_path, **given):
    return MultiTaskTrainingArguments(output_dir=str(tmp_path), use_cpu=True, **given)


def fsdp(version=2, kind="FULL_STATE_DICT"):
    return SimpleNamespace(fsdp_version=version, state_dict_type=SimpleNamespace(name=kind))


def zero(**config):
    return SimpleNamespace(deepspeed_config=config)


def test_a_strategy_is_known_by_the_plugin_that_the_accelerator_has(tmp_path):
    args = arguments(tmp_path)
    assert type(strategy_of(accelerator(), args, Ranks())) is Strategy
    assert isinstance(strategy_of(accelerator(), args, TWO), DataParallel)
    for ranks in (Ranks(), TWO):
        assert isinstance(strategy_of(accelerator(fsdp_plugin=fsdp()), args, ranks), FullySharded)
    plugin = zero(zero_optimization={"stage": 1})
    assert isinstance(strategy_of(accelerator(deepspeed_plugin=plugin), args, TWO), Zero)


def test_one_process_for_several_devices_is_refused(tmp_path):
    args = arguments(tmp_path)
    args._n_gpu = 2
    with pytest.raises(ValueError, match=r"a process of its own, but one process sees 2\. Start"):
        strategy_of(accelerator(), args, Ranks())


def test_other_kinds_of_parallelism_are_refused(tmp_path):
    args = arguments(tmp_path)
    args.parallelism_config = "tp"
    with pytest.raises(ValueError, match="`parallelism_config` must be None"):
        strategy_of(accelerator(), args, Ranks())


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (fsdp(version=1), r"`fsdp_config\['version'\]` must be 2, but got 1. FSDP1 joins"),
        (fsdp(kind="SHARDED_STATE_DICT"), "must be 'FULL_STATE_DICT', .* 'SHARDED_STATE_DICT'"),
    ],
)
def test_fsdp_that_would_move_heads_or_save_no_model_is_refused(tmp_path, plugin, words):
    with pytest.raises(ValueError, match=words):
        strategy_of(accelerator(fsdp_plugin=plugin), arguments(tmp_path), TWO)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"zero_optimization": {"stage": 3}}, "`stage3_gather_16bit_weights_on_model_save` must"),
        (
            {"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}},
            "`offload_optimizer` must be left out .* {'device': 'cpu'}",
        ),
        ({"optimizer": {"type": "AdamW"}}, "must not have an `optimizer`"),
    ],
)
def test_a_deepspeed_config_under_which_heads_could_not_keep_still_is_refused(
    tmp_path, config, words
):
    plugin = accelerator(deepspeed_plugin=zero(**config))
    args = arguments(tmp_path)
    with pytest.raises(ValueError, match=words):
        strategy_of(plugin, args, TWO)


def test_skipping_is_refused_under_deepspeed(tmp_path):
    args = arguments(tmp_path, on_nonfinite="skip_task")
    with pytest.raises(ValueError, match="`on_nonfinite` must be 'stop' under DeepSpeed"):
        strategy_of(accelerator(deepspeed_plugin=zero()), args, TWO)


@pytest.mark.parametrize("plugins", [{"fsdp_plugin": fsdp()}, {"deepspeed_plugin": zero()}])
def test_a_method_that_needs_whole_gradients_is_refused_where_parameters_are_split(
    tmp_path, plugins
):
    args = arguments(tmp_path, gradient_method="moco")
    assert isinstance(strategy_of(accelerator(), args, TWO), DataParallel)
    with pytest.raises(ValueError, match=r"must need only inner products .* but got 'moco'.*DDP"):
        strategy_of(accelerator(**plugins), args, TWO)


def test_every_head_has_groups_of_its_own():
    model = MultiTaskModel.from_backbone(BertModel(toy_runs.tiny_bert_config()), toy_runs.SUITE)
    model.set_labels({"topic": ["a"], "parts": ["b"], "kind": ["c"]})
    decayed = [each for name, each in model.named_parameters() if "bias" not in name]
    others = [each for name, each in model.named_parameters() if "bias" in name]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    )
    split_by_head(optimizer, model)
    tasks = [None, *model.heads]
    found = [(group["task"], group["weight_decay"]) for group in optimizer.param_groups]
    assert found == [(task, 0.1) for task in tasks] + [(task, 0.0) for task in tasks]
    head = {id(each) for each in model.heads["kind"].parameters()}
    own = [group["params"] for group in optimizer.param_groups if group["task"] == "kind"]
    assert {id(each) for params in own for each in params} == head
