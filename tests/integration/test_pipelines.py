# SPDX-License-Identifier: Apache-2.0
"""Exported tasks in the standard pipelines of transformers, and all tasks in one of our own."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from datasets import Dataset
from transformers import BertModel, ViTConfig, ViTModel, pipeline
from transformers.pipelines.pt_utils import KeyDataset

from hf_mtl import MultiTaskPipeline
from hf_mtl.models import MultiTaskModel
from hf_mtl.tasks import TaskSpec

if TYPE_CHECKING:
    from transformers import BertConfig, PreTrainedTokenizerFast

TEXT = "Ada Byron was very good"


@pytest.fixture
def model(
    tiny_bert_config: "BertConfig", tiny_tokenizer: "PreTrainedTokenizerFast"
) -> MultiTaskModel:
    tasks = {
        "topic": TaskSpec("text-classification", labels=("film", "book", "other")),
        "valence": TaskSpec("regression"),
        "parts": TaskSpec("token-classification", labels=("O", "NAME")),
    }
    return MultiTaskModel.from_backbone(
        BertModel(tiny_bert_config), tasks, processing_class=tiny_tokenizer
    )


def export(model: MultiTaskModel, task: str, folder: Path) -> str:
    """Saves one task with the processing class, as a user would to share it."""
    model.to_single_task(task).save_pretrained(folder)
    model.processing_class.save_pretrained(folder)
    return str(folder)


def test_text_classification_gives_the_answer_of_predict(model, tmp_path):
    classify = pipeline("text-classification", model=export(model, "topic", tmp_path))
    assert classify(TEXT) == [pytest.approx(model.predict(TEXT)["topic"])]


def test_a_regression_is_answered_as_a_number(model, tmp_path):
    score = pipeline("text-classification", model=export(model, "valence", tmp_path))
    expected = {"label": "valence", "score": pytest.approx(model.predict(TEXT)["valence"])}
    assert score(TEXT) == [expected]


def test_token_classification_gives_the_answer_of_predict(model, tmp_path):
    tag = pipeline("token-classification", model=export(model, "parts", tmp_path), ignore_labels=[])
    expected = model.predict(TEXT)["parts"]
    assert [(answer["word"], answer["entity"]) for answer in tag(TEXT)] == [
        (answer["word"], answer["label"]) for answer in expected
    ]
    assert [float(answer["score"]) for answer in tag(TEXT)] == pytest.approx(
        [answer["score"] for answer in expected]
    )


def test_image_classification_gives_the_answer_of_predict(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    from transformers import ViTImageProcessor

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        image_size=8, patch_size=4,
    )  # fmt: skip
    model = MultiTaskModel.from_backbone(
        ViTModel(config),
        {"digit": TaskSpec("image-classification", labels=("0", "1", "2"))},
        processing_class=ViTImageProcessor(size={"height": 8, "width": 8}),
    )
    picture = image_module.fromarray(np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3))
    classify = pipeline("image-classification", model=export(model, "digit", tmp_path), top_k=1)
    assert classify(picture) == [pytest.approx(model.predict(picture)["digit"])]


@pytest.fixture
def saved(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def close(answers):
    """Answers to rounding: batches are padded otherwise."""
    return [
        {
            "topic": pytest.approx(each["topic"]),
            "valence": pytest.approx(each["valence"]),
            "parts": [pytest.approx(word) for word in each["parts"]],
        }
        for each in answers
    ]


def test_all_tasks_are_answered_in_one_pipeline(model, saved):
    answer = pipeline("multi-task", model=saved)
    assert isinstance(answer, MultiTaskPipeline)
    texts = [TEXT, "a dull book", ("Bell", "Labs")]
    assert answer(TEXT) == model.predict(TEXT)
    assert answer(texts) == model.predict(texts)
    assert answer(texts, tasks="topic") == model.predict(texts, tasks="topic")
    assert list(answer(TEXT, tasks=["valence"])) == ["valence"]


def test_iterators_and_data_sets_are_read_in_batches(model, saved):
    texts = [TEXT, "a dull book", "very great film", "bad", "good"]
    answer = pipeline("multi-task", model=saved, batch_size=2)
    read = answer(iter(texts))
    assert close([next(read), *read]) == model.predict(texts)
    rows = Dataset.from_dict({"text": texts})
    assert close(answer(rows)) == model.predict(texts)
    assert close(answer(KeyDataset(rows, "text"))) == model.predict(texts)
    assert list(answer(iter([]))) == []


def test_pairs_are_inputs_of_tasks_on_pairs(model, saved):
    with pytest.raises(TypeError, match="`inputs` must suit the tasks"):
        pipeline("multi-task", model=saved)({"text": TEXT, "text_pair": TEXT})
    spec = TaskSpec("regression", columns={"text_pair": "other"})
    model.add_task("similarity", spec)
    pair = {"text": TEXT, "text_pair": "a dull book"}
    answer = MultiTaskPipeline(model, tasks=["similarity"])
    assert answer(pair) == model.predict(pair, tasks=["similarity"])


def test_a_pipeline_takes_another_tokenizer(model, saved, tiny_tokenizer):
    answer = pipeline("multi-task", model=saved, tokenizer=tiny_tokenizer)
    assert answer(TEXT) == model.predict(TEXT)


def test_what_a_pipeline_cannot_take_is_refused(model, saved):
    with pytest.raises(TypeError, match=r"takes `tasks` and `batch_size`, but got \['top_k'\]"):
        pipeline("multi-task", model=saved)(TEXT, top_k=2)
    with pytest.raises(TypeError, match="`model` must be a multi-task model, but got BertForSeq"):
        MultiTaskPipeline(model.to_single_task("topic"))
    with pytest.raises(KeyError, match="Did you mean 'topic'"):
        pipeline("multi-task", model=saved)(TEXT, tasks="topc")
