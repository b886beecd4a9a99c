# SPDX-License-Identifier: Apache-2.0
"""Exported tasks in the standard pipelines of transformers, which know nothing of hf_mtl."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from transformers import BertModel, ViTConfig, ViTModel, pipeline

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
