# SPDX-License-Identifier: Apache-2.0
"""One model out of several of one task each: the way back from `to_single_task`."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import (
    AutoModelForSequenceClassification,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
    ViTConfig,
    ViTForImageClassification,
)

from hf_mtl.models import MultiTaskModel
from hf_mtl.tasks import TASK_TYPES, TaskSpec, TaskSuite, TaskType


@pytest.fixture
def suite() -> TaskSuite:
    return TaskSuite(
        {
            "parts": TaskSpec("token-classification", labels=("O", "NAME")),
            "topic": TaskSpec("text-classification", labels=("film", "book", "other")),
            "valence": TaskSpec("regression"),
            "moods": TaskSpec("multi-label-classification", labels=("calm", "sad")),
            "where": TaskSpec("question-answering"),
            "next": TaskSpec("multiple-choice"),
        }
    )


@pytest.fixture
def singles(model: MultiTaskModel) -> dict[str, PreTrainedModel]:
    """Models of one backbone; that of the first task has no pooler."""
    return {task: model.to_single_task(task) for task in model.suite}


def saved(models: dict[str, PreTrainedModel], folder: Path) -> dict[str, str]:
    for task, model in models.items():
        model.save_pretrained(folder / task)
    return {task: str(folder / task) for task in models}


def assert_same_logits(model, other, inputs) -> None:
    expected = other(**inputs).logits
    for task, logits in model(**inputs).logits.items():
        assert torch.equal(logits, expected[task]), task


def classifier(config, **given) -> BertForSequenceClassification:
    return BertForSequenceClassification(type(config)(**config.to_diff_dict() | given))


@pytest.mark.parametrize("backbone", ["first", "average"])
def test_models_of_one_backbone_keep_their_logits_to_the_last_bit(model, singles, inputs, backbone):
    together = MultiTaskModel.from_single_task(singles, backbone=backbone)
    assert together.suite == model.suite
    assert_same_logits(together, model, inputs)
    assert not together.training


def test_folders_are_loaded_and_the_result_saved(model, singles, inputs, tmp_path):
    together = MultiTaskModel.from_single_task(saved(singles, tmp_path))
    together.save_pretrained(tmp_path / "together")
    loaded = MultiTaskModel.from_pretrained(tmp_path / "together")
    assert loaded.suite == model.suite
    assert_same_logits(loaded, model, inputs)


def test_it_goes_back_to_single_tasks(singles):
    together = MultiTaskModel.from_single_task(singles)
    for task, single in singles.items():
        again = together.to_single_task(task)
        assert type(again) is type(single)
        assert_close(again.state_dict(), single.state_dict(), rtol=0, atol=0)


def test_the_weights_are_its_own(singles, inputs):
    together = MultiTaskModel.from_single_task(singles)
    before = together(**inputs).logits["topic"]
    with torch.no_grad():
        for parameter in singles["topic"].parameters():
            parameter.zero_()
    assert torch.equal(together(**inputs).logits["topic"], before)


def test_with_other_backbones_the_first_task_keeps_its_logits(tiny_bert_config, inputs):
    models = {"one": classifier(tiny_bert_config), "two": classifier(tiny_bert_config)}
    together = MultiTaskModel.from_single_task(models)
    logits = together(**inputs).logits
    assert torch.equal(logits["one"], models["one"].eval()(**inputs).logits)
    assert not torch.allclose(logits["two"], models["two"].eval()(**inputs).logits)


def test_backbones_are_merged_and_heads_are_not(tiny_bert_config):
    models = {"one": classifier(tiny_bert_config), "two": classifier(tiny_bert_config)}
    together = MultiTaskModel.from_single_task(models, backbone="average")
    one, two = (each.bert.pooler.dense.weight for each in models.values())
    assert_close(together.backbone.pooler.dense.weight, (one + two) / 2)
    for task, single in models.items():
        assert torch.equal(together.heads[task].model.classifier.weight, single.classifier.weight)


def test_what_the_base_never_learned_is_the_mean_of_the_models(tiny_bert_config, tmp_path):
    base = BertForMaskedLM(tiny_bert_config)
    base.save_pretrained(tmp_path)
    one, two = classifier(tiny_bert_config), classifier(tiny_bert_config)
    method = {"name": "task_arithmetic", "base": str(tmp_path), "scale": 2.0}
    together = MultiTaskModel.from_single_task({"one": one, "two": two}, backbone=method).backbone
    start, *ends = (each.bert.embeddings.word_embeddings.weight for each in (base, one, two))
    moved = start + 2.0 * (ends[0] - start + ends[1] - start)
    assert_close(together.embeddings.word_embeddings.weight, moved)
    poolers = [each.bert.pooler.dense.weight for each in (one, two)]
    assert_close(together.pooler.dense.weight, (poolers[0] + poolers[1]) / 2)


def test_a_base_may_be_a_loaded_model_with_another_head(tiny_bert_config, singles, model, inputs):
    base = BertForMaskedLM(tiny_bert_config)
    base.bert.load_state_dict(model.backbone.state_dict(), strict=False)
    together = MultiTaskModel.from_single_task(singles, backbone={"name": "ties", "base": base})
    assert_same_logits(together, model, inputs)


def test_a_task_that_is_given_keeps_what_a_config_cannot_say(singles, model, inputs):
    topic = TaskSpec("text-classification", columns={"text": "body"}, weight=0.5)
    together = MultiTaskModel.from_single_task(singles, tasks={"topic": topic})
    assert together.suite["topic"] == topic.replace(labels=("film", "book", "other"))
    assert_same_logits(together, model, inputs)


def test_grades_have_to_be_given_because_a_config_names_what_lies_between_them(tiny_bert_config):
    stars = TaskSpec("ordinal-regression", labels=("1", "2", "3"))
    model = MultiTaskModel.from_backbone(BertModel(tiny_bert_config), {"stars": stars})
    single = model.to_single_task("stars")
    together = MultiTaskModel.from_single_task({"stars": single}, tasks={"stars": stars})
    assert together.suite == model.suite
    unnamed = {"stars": TaskSpec("ordinal-regression")}
    with pytest.raises(ValueError, match=r"`labels` of task 'stars' must be given .*'above 1'"):
        MultiTaskModel.from_single_task({"stars": single}, tasks=unnamed)


def test_names_of_labels_that_were_never_given_are_those_of_the_config(tiny_bert_config):
    model = MultiTaskModel.from_single_task({"one": classifier(tiny_bert_config)})
    assert model.suite["one"].labels == ("LABEL_0", "LABEL_1")


def test_models_on_pictures_are_taken_too():
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        image_size=8, patch_size=4, num_labels=3,
    )  # fmt: skip
    single = ViTForImageClassification(config).eval()
    together = MultiTaskModel.from_single_task({"digit": single})
    pixels = torch.randn(2, 3, 8, 8)
    logits = together(pixel_values=pixels).logits["digit"]
    assert torch.equal(logits, single(pixel_values=pixels).logits)
    assert together.suite["digit"].type == "image-classification"


def test_the_tokenizer_is_that_of_the_first_model(singles, tiny_tokenizer, tmp_path):
    folders = saved(singles, tmp_path)
    tiny_tokenizer.save_pretrained(folders["parts"])
    together = MultiTaskModel.from_single_task(folders)
    assert together.processing_class.get_vocab() == tiny_tokenizer.get_vocab()
    assert together.predict("the film")["topic"]["label"] in {"film", "book", "other"}


def test_a_folder_without_a_tokenizer_gives_none(singles, tmp_path):
    # transformers would make one up, that knows no word.
    folders = saved(singles, tmp_path)
    assert MultiTaskModel.from_single_task(folders).processing_class is None


def test_it_can_be_given_a_tokenizer(singles, tiny_tokenizer):
    together = MultiTaskModel.from_single_task(singles, processing_class=tiny_tokenizer)
    assert together.processing_class is tiny_tokenizer


def test_other_vocabularies_are_refused_with_a_token_that_differs(
    singles, tiny_tokenizer, tmp_path
):
    folders = saved(singles, tmp_path)
    tiny_tokenizer.save_pretrained(folders["parts"])
    tiny_tokenizer.add_tokens(["Zweibrücken"])
    tiny_tokenizer.save_pretrained(folders["topic"])
    words = r"1 tokens of 'topic' have other ids than in 'parts', such as 'Zweibrücken' \(\d+ inst"
    with pytest.raises(ValueError, match=words):
        MultiTaskModel.from_single_task(folders)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"hidden_size": 32}, r"hidden_size \(32 instead of 16\)"),
        ({"vocab_size": 30}, r"vocab_size \(30 instead of \d+\)"),
        ({"hidden_act": "relu"}, r"hidden_act \('relu' instead of 'gelu'\)"),
    ],
)
def test_other_architectures_are_refused_with_the_fields_that_differ(
    tiny_bert_config, changed, words
):
    models = {"one": classifier(tiny_bert_config), "two": classifier(tiny_bert_config, **changed)}
    with pytest.raises(ValueError, match=rf"'two' differs from 'one' in {words}"):
        MultiTaskModel.from_single_task(models)


def test_another_dropout_is_no_other_architecture(tiny_bert_config):
    models = {
        "one": classifier(tiny_bert_config),
        "two": classifier(tiny_bert_config, hidden_dropout_prob=0.3, classifier_dropout=0.2),
    }
    together = MultiTaskModel.from_single_task(models)
    assert together.backbone.config.hidden_dropout_prob == tiny_bert_config.hidden_dropout_prob


def test_another_family_is_refused(tiny_bert_config):
    config = RobertaConfig(**{
        name: getattr(tiny_bert_config, name)
        for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    })  # fmt: skip
    models = {
        "one": classifier(tiny_bert_config),
        "two": RobertaForSequenceClassification(config),
    }
    with pytest.raises(ValueError, match=r"in model_type \('roberta' instead of 'bert'\)"):
        MultiTaskModel.from_single_task(models)


def test_another_dtype_is_refused(tiny_bert_config):
    models = {"one": classifier(tiny_bert_config), "two": classifier(tiny_bert_config).bfloat16()}
    with pytest.raises(ValueError, match=r"'two' has torch.bfloat16 and 'one' torch.float32"):
        MultiTaskModel.from_single_task(models)


def test_a_base_of_another_architecture_is_refused(tiny_bert_config, singles):
    base = BertModel(type(tiny_bert_config)(**tiny_bert_config.to_diff_dict() | {"vocab_size": 30}))
    with pytest.raises(ValueError, match=r"`base` must be .* from 'parts' in vocab_size \(30 inst"):
        MultiTaskModel.from_single_task(singles, backbone={"name": "ties", "base": base})


def test_an_unknown_merging_method_is_refused(singles):
    with pytest.raises(KeyError, match=r"Unknown merging method 'avrage'. Did you mean .average."):
        MultiTaskModel.from_single_task(singles, backbone="avrage")


def test_a_multi_task_model_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match=r"that of 'topic' is a multi-task model\. Take one task"):
        MultiTaskModel.from_single_task({"topic": model})
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="that of 'topic' is a multi-task model"):
        MultiTaskModel.from_single_task({"topic": str(tmp_path)})


@pytest.mark.parametrize("is_loaded", [True, False])
def test_a_model_without_the_head_of_a_task_is_refused(tiny_bert_config, tmp_path, is_loaded):
    base = BertModel(tiny_bert_config)
    base.save_pretrained(tmp_path)
    words = "'topic' is a BertModel. For 'bert' there are: .*'BertForSequenceClassification'"
    with pytest.raises(ValueError, match=words):
        MultiTaskModel.from_single_task({"topic": base if is_loaded else str(tmp_path)})


def test_a_model_of_another_class_than_its_task_is_refused(tiny_bert_config):
    single = BertForTokenClassification(tiny_bert_config)
    words = "'topic' is a regression task, .* BertForSequenceClassification, .* a BertForTokenClass"
    with pytest.raises(ValueError, match=words):
        MultiTaskModel.from_single_task({"topic": single}, tasks={"topic": TaskSpec("regression")})


def test_a_model_that_could_be_of_several_types_has_to_be_told(tiny_bert_config):
    @TASK_TYPES.register("other-words")
    class OtherWords(TaskType):
        inputs, labels, level = "text", "token_class", "token"
        auto_model, loss, metrics = (
            "AutoModelForTokenClassification",
            "cross_entropy",
            ("accuracy",),
        )

    single = BertForTokenClassification(tiny_bert_config)
    model = MultiTaskModel.from_single_task({"parts": single})
    assert model.suite["parts"].type == "token-classification"
    given = {"parts": TaskSpec("other-words")}
    model = MultiTaskModel.from_single_task({"parts": single}, tasks=given)
    assert model.suite["parts"].type == "other-words"
    tiny_bert_config.num_labels = 1
    with pytest.raises(ValueError, match=r"of which type 'parts' is, .* could be of \['token-cl"):
        MultiTaskModel.from_single_task({"parts": BertForTokenClassification(tiny_bert_config)})


@pytest.mark.parametrize(
    "spec", [TaskSpec("regression"), TaskSpec("text-classification", labels=("a", "b", "c"))]
)
def test_a_head_of_another_size_than_its_task_is_refused(tiny_bert_config, spec):
    words = rf"classifier.weight of 'topic' has the shape \[2, 16\] where a {spec.type} task with "
    with pytest.raises(ValueError, match=words):
        MultiTaskModel.from_single_task(
            {"topic": classifier(tiny_bert_config)}, tasks={"topic": spec}
        )


def test_another_head_than_the_native_one_is_refused(singles):
    topic = TaskSpec("text-classification", head="pooled")
    with pytest.raises(ValueError, match=r"`head` of task 'topic' must be 'native', .*'pooled'"):
        MultiTaskModel.from_single_task(singles, tasks={"topic": topic})


def test_a_task_without_a_model_is_refused(singles):
    with pytest.raises(KeyError, match=r"Unknown task of `models` 'topics'. Did you mean .topic."):
        MultiTaskModel.from_single_task(singles, tasks={"topics": TaskSpec("regression")})


@pytest.mark.parametrize("models", [{}, ["folder"], "folder"])
def test_models_that_are_not_named_by_tasks_are_refused(models):
    with pytest.raises(TypeError, match="`models` must map each task to its model, such as"):
        MultiTaskModel.from_single_task(models)


def test_a_checkpoint_without_the_weights_of_its_head_is_refused(singles, tmp_path):
    folders = saved({"topic": singles["topic"]}, tmp_path)
    file = tmp_path / "topic" / "model.safetensors"
    tensors = {name: value for name, value in load_file(file).items() if "classifier" not in name}
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"of 'topic' has none for \['classifier.bias', 'classif"):
        MultiTaskModel.from_single_task(folders)


def test_a_damaged_checkpoint_is_named(singles, tmp_path):
    folders = saved({"topic": singles["topic"]}, tmp_path)
    file = tmp_path / "topic" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(OSError, match="safetensors cannot be read"):
        MultiTaskModel.from_single_task(folders)


def test_a_checkpoint_that_is_no_safetensors_is_refused(singles, tmp_path):
    singles["topic"].save_pretrained(tmp_path)
    torch.save(singles["topic"].state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path)
    with pytest.raises(OSError, match="safetensors"):
        MultiTaskModel.from_single_task({"topic": str(tmp_path)})
