# SPDX-License-Identifier: Apache-2.0
"""The configuration: JSON round trip, order of tasks, and the configs it refuses."""

import pytest
from transformers import AutoConfig, BertConfig, LlamaConfig

from hf_mtl.models import MultiTaskConfig, MultiTaskModel
from hf_mtl.tasks import TaskSpec, TaskSuite

# Not in alphabetical order, which is that of keys in JSON files of transformers.
SUITE = TaskSuite(
    {
        "topic": TaskSpec("text-classification", labels=("b", "a"), weight=2.0),
        "parts": TaskSpec("token-classification", source="news", head="native"),
        "a": TaskSpec("regression", head={"name": "pooled", "pooling": "max"}),
    }
)


@pytest.mark.parametrize("config_class", [MultiTaskConfig, AutoConfig])
def test_backbone_and_tasks_survive_a_file_in_their_order(config_class, tmp_path):
    config = MultiTaskConfig(backbone_cfg=BertConfig(hidden_size=24), tasks=SUITE.to_list())
    config.save_pretrained(tmp_path)
    loaded = config_class.from_pretrained(tmp_path)
    assert isinstance(loaded, MultiTaskConfig)
    assert loaded.suite == SUITE
    assert loaded.backbone_cfg.to_dict() == config.backbone_cfg.to_dict()


def test_the_attention_implementation_chosen_for_the_backbone_is_kept():
    backbone = LlamaConfig(attn_implementation="eager")
    MultiTaskConfig(backbone_cfg=backbone, tasks=SUITE.to_list())
    assert backbone._attn_implementation == "eager"


def test_special_tokens_are_those_of_the_backbone():
    config = MultiTaskConfig(backbone_cfg=LlamaConfig(pad_token_id=7), tasks=SUITE.to_list())
    assert config.get_text_config().pad_token_id == 7


def test_an_unknown_task_type_is_refused():
    with pytest.raises(KeyError, match="Did you mean 'regression'"):
        MultiTaskConfig(tasks=[{"name": "a", "type": "regresion"}])


def test_a_config_without_backbone_builds_no_model():
    with pytest.raises(ValueError, match="`backbone_cfg` must be the configuration of a backbone"):
        MultiTaskModel(MultiTaskConfig(tasks=SUITE.to_list()))


def test_a_config_without_tasks_builds_no_model():
    with pytest.raises(ValueError, match="must hold at least one task"):
        MultiTaskModel(MultiTaskConfig(backbone_cfg=BertConfig()))


def test_the_config_of_a_plain_model_is_refused_and_from_backbone_is_named(tmp_path):
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"model of type 'bert'.*MultiTaskModel\.from_backbone"):
        MultiTaskModel.from_pretrained(tmp_path)
