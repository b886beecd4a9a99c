# SPDX-License-Identifier: Apache-2.0
"""Micro-batches, separate and merged, against tensors that can be written down by hand."""

import pytest
import torch
from datasets import Dataset
from torch.testing import assert_close

from hf_mtl.data import Collate, Draw, prepare
from hf_mtl.tasks import TaskSpec, TaskSuite, num_labelled

SUITE = TaskSuite(
    {
        "score": TaskSpec("regression"),
        "parts": TaskSpec("token-classification", labels=("noun", "verb"), source="words"),
        "topic": TaskSpec(
            "text-classification",
            labels=("animal", "car"),
            source="words",
            columns={"text": "tokens", "label": "topic"},
        ),
    }
)


@pytest.fixture
def collection(tokenizer):
    return prepare(
        SUITE,
        {
            "score": Dataset.from_dict({"text": ["red", "red fox runs"], "label": [0.5, None]}),
            "words": Dataset.from_dict(
                {
                    "tokens": [["fox"], ["foxes", "runs"]],
                    "labels": [["noun"], ["noun", "verb"]],
                    "topic": [None, "animal"],
                }
            ),
        },
        tokenizer,
    )


def micro_batch(collection, *draws, merged=False):
    collate = Collate(SUITE, collection.processing_class, merged=merged)
    return collate([collection[draw] for draw in draws])


def test_a_separate_batch_has_one_forward_a_draw_padded_to_its_own_rows(collection):
    batch = micro_batch(collection, Draw("words", (1, 0)), Draw("score", (0, 1)))
    words, score = batch["forwards"]
    assert words["inputs"]["input_ids"].tolist() == [[2, 5, 6, 7, 3], [2, 5, 3, 0, 0]]
    assert words["inputs"]["attention_mask"].tolist() == [[1] * 5, [1, 1, 1, 0, 0]]
    assert list(words["labels"]) == ["parts", "topic"]
    assert words["labels"]["parts"].tolist() == [[-100, 0, -100, 1, -100], [-100, 0] + [-100] * 3]
    assert words["labels"]["topic"].tolist() == [0, -100]
    assert_close(score["labels"]["score"], torch.tensor([0.5, float("nan")]), equal_nan=True)
    assert words["rows"] is score["rows"] is None


def test_a_merged_batch_has_one_forward_and_says_which_rows_a_task_has(collection):
    draws = Draw("words", (0,)), Draw("score", (0, 1)), Draw("words", (1,))
    (forward,) = micro_batch(collection, *draws, merged=True)["forwards"]
    assert forward["inputs"]["input_ids"].tolist() == [
        [2, 5, 3, 0, 0],
        [2, 4, 3, 0, 0],
        [2, 4, 5, 7, 3],
        [2, 5, 6, 7, 3],
    ]
    assert {task: rows.tolist() for task, rows in forward["rows"].items()} == {
        "score": [1, 2],
        "parts": [0, 3],
        "topic": [0, 3],
    }
    assert forward["labels"]["topic"].tolist() == [-100, 0]
    assert forward["labels"]["parts"].shape == (2, 5)
    assert all(len(forward["labels"][task]) == len(rows) for task, rows in forward["rows"].items())


def test_merged_rows_hold_what_separate_ones_hold(collection):
    draws = Draw("words", (1, 0)), Draw("score", (1, 0))
    (merged,) = micro_batch(collection, *draws, merged=True)["forwards"]
    for separate in micro_batch(collection, *draws)["forwards"]:
        mask = separate["inputs"]["attention_mask"].bool()
        for task, labels in separate["labels"].items():
            rows = merged["rows"][task]
            tokens = merged["inputs"]["input_ids"][rows][:, : mask.shape[1]]
            assert_close(tokens[mask], separate["inputs"]["input_ids"][mask])
            same_width = merged["labels"][task][(slice(None), *map(slice, labels.shape[1:]))]
            assert_close(same_width, labels, equal_nan=True)


def test_labels_of_tokens_are_padded_on_the_side_of_the_input(collection):
    collection.processing_class.padding_side = "left"
    (forward,) = micro_batch(collection, Draw("words", (0, 1)))["forwards"]
    assert forward["inputs"]["input_ids"][0].tolist() == [0, 0, 2, 5, 3]
    assert forward["labels"]["parts"][0].tolist() == [-100, -100, -100, 0, -100]


def test_labels_have_the_dtype_of_their_loss(collection):
    draws = Draw("words", (0,)), Draw("score", (0,))
    (forward,) = micro_batch(collection, *draws, merged=True)["forwards"]
    dtypes = {task: labels.dtype for task, labels in forward["labels"].items()}
    assert dtypes == {"score": torch.float, "parts": torch.long, "topic": torch.long}


@pytest.mark.parametrize("merged", [False, True])
def test_a_micro_batch_may_be_empty(collection, merged):
    assert micro_batch(collection, merged=merged) == {"forwards": []}


def test_pictures_and_texts_are_not_merged(tokenizer):
    suite = TaskSuite({"score": SUITE["score"], "digit": TaskSpec("image-classification")})
    message = r"'separate' for tasks on different kinds of input.* \{'text': \['score'\], 'image'"
    with pytest.raises(ValueError, match=message):
        Collate(suite, tokenizer, merged=True)
    Collate(suite, tokenizer, merged=False)


def test_a_filler_has_the_rows_inputs_and_no_label_of_any_task(collection):
    batch = micro_batch(collection, Draw("words", (1,), is_filler=True))
    (forward,) = batch["forwards"]
    assert forward["inputs"]["input_ids"].tolist() == [[2, 5, 6, 7, 3]]
    assert forward["labels"]["parts"].tolist() == [[-100] * 5]
    assert forward["labels"]["topic"].tolist() == [-100]
    (forward,) = micro_batch(collection, Draw("score", (0,), is_filler=True))["forwards"]
    assert forward["labels"]["score"].isnan().tolist() == [True]


def test_a_filler_counts_as_unlabelled_in_a_merged_batch_too(collection):
    draws = Draw("words", (0,), is_filler=True), Draw("words", (1,))
    (forward,) = micro_batch(collection, *draws, merged=True)["forwards"]
    assert forward["rows"]["topic"].tolist() == [0, 1]
    assert forward["labels"]["topic"].tolist() == [-100, 0]
    assert num_labelled(forward["labels"]["parts"]) == 2
