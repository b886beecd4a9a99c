# SPDX-License-Identifier: Apache-2.0
"""Answers to raw inputs."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import BertModel, ViTConfig, ViTModel

from hf_mtl.models import MultiTaskModel
from hf_mtl.models.prediction import evaluation_mode
from hf_mtl.tasks import TaskSpec


@pytest.fixture
def text_model(model, tiny_tokenizer) -> MultiTaskModel:
    model.processing_class = tiny_tokenizer
    return model


def test_one_text_is_answered_by_every_task(text_model):
    answers = text_model.predict("the film was good")
    assert list(answers) == ["topic", "valence", "parts"]
    assert set(answers["topic"]) == {"label", "score"}
    assert isinstance(answers["valence"], float)
    assert [answer["word"] for answer in answers["parts"]] == ["the", "film", "was", "good"]


def test_a_list_gives_a_list_in_its_order(text_model):
    texts = ["the film was very good .", "dull", "a great book"]
    together = text_model.predict(texts, tasks=["valence", "parts"], batch_size=2)
    alone = [text_model.predict(text, tasks=["valence", "parts"]) for text in texts]
    for found, expected in zip(together, alone, strict=True):
        assert found["valence"] == pytest.approx(expected["valence"], abs=1e-5)
        assert [answer["word"] for answer in found["parts"]] == [
            answer["word"] for answer in expected["parts"]
        ]


def test_padding_on_the_left_leaves_answers_with_their_words(text_model):
    text_model.processing_class.padding_side = "left"
    answers = text_model.predict(["Ada Byron was good", "dull"], tasks="parts")
    assert [len(answer["parts"]) for answer in answers] == [4, 1]


def test_an_answer_is_that_of_the_logits(text_model, tiny_tokenizer):
    encoded = tiny_tokenizer("the film", return_tensors="pt")
    logits = text_model(**encoded).logits
    answers = text_model.predict("the film")
    assert answers["valence"] == pytest.approx(logits["valence"].item())
    label = text_model.suite["topic"].labels[int(logits["topic"].argmax())]
    assert answers["topic"]["label"] == label


def test_one_task_is_asked_by_name(text_model):
    assert list(text_model.predict("good", tasks="topic")) == ["topic"]


def test_words_and_pairs_are_inputs_too(text_model):
    as_text, as_words = text_model.predict(["the film", ["the", "film"]])
    assert as_words == as_text
    assert text_model.predict(("the", "film")).keys() == as_text.keys()
    assert text_model.predict({"text": "good"}) == text_model.predict("good")


def test_a_column_of_a_data_set_is_a_list_of_inputs(text_model):
    dataset = Dataset.from_dict({"text": ["good", "dull"], "tokens": [["the", "film"], ["dull"]]})
    assert text_model.predict(dataset["text"]) == text_model.predict(["good", "dull"])
    assert text_model.predict(dataset["tokens"]) == text_model.predict(["the film", "dull"])


@pytest.fixture
def pair_model(tiny_bert_config, tiny_tokenizer) -> MultiTaskModel:
    """A task on single texts and one on pairs."""
    labels = ("no", "yes")
    tasks = {
        "topic": TaskSpec("text-classification", labels=labels),
        "follows": TaskSpec(
            "text-classification", labels=labels, columns={"text_pair": "hypothesis"}
        ),
    }
    return MultiTaskModel.from_backbone(
        BertModel(tiny_bert_config), tasks, processing_class=tiny_tokenizer
    )


PAIR = {"text": "good", "text_pair": "dull"}


def test_single_texts_and_pairs_are_answered_by_the_tasks_that_were_trained_on_them(pair_model):
    answers = pair_model.predict(["good", PAIR, {"text": "dull"}])
    assert [list(answer) for answer in answers] == [["topic"], ["follows"], ["topic"]]
    assert answers[1] == pair_model.predict(PAIR)


@pytest.mark.parametrize(
    ("task", "row", "words"),
    [
        ("follows", "good", r"input 0 is a str: 'good'.*`text` and `text_pair` for \['follows'\]"),
        ("topic", PAIR, r"input 0 has the keys \['text', 'text_pair'\].*`text` for \['topic'\]"),
    ],
)
def test_a_task_asked_by_name_refuses_what_it_was_not_trained_on(pair_model, task, row, words):
    with pytest.raises(TypeError, match=words):
        pair_model.predict(row, tasks=task)


def test_a_mapping_with_other_keys_is_refused_with_its_keys(pair_model):
    with pytest.raises(TypeError, match=r"but input 1 has the keys \['tokens'\]"):
        pair_model.predict(["good", {"tokens": ["good"]}])
    with pytest.raises(TypeError, match=r"but input 0 has the keys \['label', 'text'\]"):
        pair_model.predict({"text": "good", "label": "yes"})


def test_no_inputs_give_no_answers(text_model):
    assert text_model.predict([]) == []


def test_tasks_of_other_lengths_are_encoded_for_themselves(tiny_bert_config, tiny_tokenizer):
    tasks = {
        "long": TaskSpec("token-classification", labels=("O", "X")),
        "short": TaskSpec("token-classification", labels=("O", "X"), max_length=4),
    }
    model = MultiTaskModel.from_backbone(
        BertModel(tiny_bert_config), tasks, processing_class=tiny_tokenizer
    )
    answers = model.predict("the film was good")
    assert [len(answers[task]) for task in ("long", "short")] == [4, 2]


def test_dropout_is_off_and_every_flag_is_put_back(text_model):
    text_model.train()
    text_model.backbone.pooler.eval()
    for module in text_model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    assert text_model.predict("good") == text_model.predict("good")
    assert text_model.training
    assert not text_model.backbone.pooler.training


def test_flags_are_put_back_after_an_error():
    module = torch.nn.Linear(1, 1)
    with pytest.raises(ZeroDivisionError), evaluation_mode(module):
        1 / 0  # noqa: B018
    assert module.training


def test_what_a_module_keeps_from_an_evaluation_can_take_part_in_training():
    weight = torch.ones(1, requires_grad=True)
    with evaluation_mode(torch.nn.Linear(1, 1)):
        kept = torch.ones(1) * 2
    (weight * kept).backward()
    assert weight.grad.item() == 2


@pytest.fixture
def vision_model() -> MultiTaskModel:
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=8, patch_size=4, num_channels=3,
    )  # fmt: skip
    return MultiTaskModel.from_backbone(
        ViTModel(config), {"digit": TaskSpec("image-classification", labels=("0", "1"))}
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pictures_are_answered_in_the_dtype_of_the_model(vision_model, dtype):
    image_module = pytest.importorskip("PIL.Image")
    from transformers import ViTImageProcessor

    picture = image_module.fromarray(np.zeros((8, 8, 3), dtype=np.uint8))
    answers = vision_model.to(dtype).predict(
        [picture, picture], processing_class=ViTImageProcessor(size={"height": 8, "width": 8})
    )
    assert answers[0] == answers[1]
    assert answers[0]["digit"]["label"] in ("0", "1")


def test_an_array_and_a_tensor_are_one_picture_each(vision_model):
    from transformers import ViTImageProcessor

    processor = ViTImageProcessor(size={"height": 8, "width": 8})
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    for picture in (pixels, torch.from_numpy(pixels).permute(2, 0, 1)):
        assert list(vision_model.predict(picture, processing_class=processor)) == ["digit"]


def test_an_input_that_suits_no_task_is_named(text_model):
    with pytest.raises(TypeError, match="input 1 is a int: 7"):
        text_model.predict(["good", 7])


def test_an_input_that_does_not_suit_a_task_asked_by_name_is_refused(text_model):
    picture = np.zeros((8, 8, 3))
    with pytest.raises(TypeError, match=r"must suit the tasks \['topic'\], but input 0"):
        text_model.predict(picture, tasks=["topic"])


def test_an_unknown_task_is_refused(text_model):
    with pytest.raises(KeyError, match="Did you mean 'topic'"):
        text_model.predict("good", tasks=["topics"])


def test_a_model_without_tokenizer_asks_for_one(model):
    with pytest.raises(ValueError, match="`processing_class` must be known"):
        model.predict("good")


def test_a_batch_has_at_least_one_row(text_model):
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, but got 0"):
        text_model.predict("good", batch_size=0)
