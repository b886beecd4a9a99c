# SPDX-License-Identifier: Apache-2.0
"""Rows that are too long for one pass become several prepared rows."""

import pytest
import torch
from datasets import Dataset

from hf_mtl.data import Draw, eval_dataloader, prepare
from hf_mtl.data.collate import Collate
from hf_mtl.data.prepared_index import load_prepared, save_prepared
from hf_mtl.tasks import TaskSpec, TaskSuite

# [CLS] who [SEP] and [SEP] leave room for three words; neighbours share one.
SPEC = TaskSpec("question-answering", max_length=7, options={"stride": 1})
SUITE = TaskSuite({"qa": SPEC})
NONE = {"text": [], "answer_start": []}


def given(text, start):
    return {"text": [text], "answer_start": [start]}


ROWS = [
    {"question": "fox", "context": "red fox .", "answers": NONE},
    {"question": "fox", "context": "red fox runs fast . foxes", "answers": given("runs", 8)},
    {"question": "fox", "context": "foxes", "answers": None},
]


@pytest.fixture
def collection(tokenizer):
    return prepare(SUITE, {"qa": Dataset.from_list(ROWS)}, tokenizer)


def test_prepared_rows_are_windows(collection, tokenizer):
    source = collection.sources["qa"]
    assert source.num_rows == len(collection) == 1 + 3 + 1
    texts = tokenizer.batch_decode([row["input_ids"] for row in source.dataset])
    assert texts == [
        "[CLS] fox [SEP] red fox . [SEP]",
        "[CLS] fox [SEP] red fox runs [SEP]",
        "[CLS] fox [SEP] runs fast . [SEP]",
        "[CLS] fox [SEP] . fox ##es [SEP]",
        "[CLS] fox [SEP] fox ##es [SEP]",
    ]
    assert [label["row"] for label in collection.labels("qa")] == [0, 1, 1, 1, 2]


def test_a_batch_holds_windows_with_what_they_came_from(collection, tokenizer):
    batch = Collate(SUITE, tokenizer)([collection[Draw("qa", (0, 1, 3, 4))]])
    (forward,) = batch["forwards"]
    low = -100
    assert forward["labels"]["qa"].tolist() == [
        [3, low, low, 0, 0, 0, low],
        [0, low, low, 0, 0, 3, low],
        [3, low, low, 0, 0, 0, low],
        [low] * 7,
    ]
    traces = forward["traces"]["qa"]
    assert [trace.row for trace in traces] == [0, 1, 1, 2]
    assert [trace.text for trace in traces] == ["red fox .", "red fox runs", ". foxes", "foxes"]
    assert [trace.answers for trace in traces] == [[], ["runs"], ["runs"], []]


def test_a_batch_without_windows_has_no_traces(tokenizer):
    suite = TaskSuite({"score": TaskSpec("regression")})
    rows = Dataset.from_list([{"text": "red", "label": 1.0}])
    collection = prepare(suite, {"score": rows}, tokenizer)
    (forward,) = Collate(suite, tokenizer)([collection[Draw("score", (0,))]])["forwards"]
    assert "traces" not in forward


def test_windows_share_a_forward_with_texts(tokenizer):
    suite = TaskSuite({"qa": SPEC, "score": TaskSpec("regression")})
    texts = Dataset.from_list([{"text": "red fox runs fast . red fox", "label": 1.0}])
    collection = prepare(suite, {"qa": Dataset.from_list(ROWS), "score": texts}, tokenizer)
    draws = [collection[Draw("score", (0,))], collection[Draw("qa", (1, 4))]]
    (forward,) = Collate(suite, tokenizer, merged=True)(draws)["forwards"]
    assert forward["inputs"]["input_ids"].shape == (3, 9)
    assert forward["labels"]["qa"].shape == (2, 9)
    assert forward["rows"]["qa"].tolist() == [1, 2]


def test_a_row_of_filling_has_no_label(collection, tokenizer):
    rows = collection[Draw("qa", (1,), is_filler=True)]
    (forward,) = Collate(SUITE, tokenizer)([rows])["forwards"]
    assert (forward["labels"]["qa"] == -100).all()


def test_rows_are_known_by_their_place_in_all_of_the_data(tokenizer):
    # More than are encoded together, the first thousand without any answer.
    rows = Dataset.from_list([ROWS[0]] * 1100 + [ROWS[1]] * 2)
    labels = prepare(SUITE, {"qa": rows}, tokenizer).labels("qa")
    assert [label["row"] for label in labels] == [*range(1100), *[1100] * 3, *[1101] * 3]
    assert labels[-1]["answers"] == ["runs"]


def test_an_epoch_has_each_window_once_on_any_number_of_ranks(collection):
    for world_size in (1, 2, 3):
        rows = [
            (trace.row, trace.origin)
            for rank in range(world_size)
            for batch in eval_dataloader(
                collection, batch_size=2, world_size=world_size, rank=rank, num_workers=0
            )
            for forward in batch["forwards"]
            for trace, labels in zip(forward["traces"]["qa"], forward["labels"]["qa"], strict=True)
            if (labels != -100).any()
        ]
        # The row without answers is not judged.
        assert sorted(rows) == [(0, 0), (1, 0), (1, 8), (1, 18)]


def test_a_stream_of_rows_that_would_become_windows_is_refused(tokenizer):
    stream = Dataset.from_list(ROWS).to_iterable_dataset()
    with pytest.raises(
        ValueError,
        match=r"`train_dataset` of source 'qa' must be no stream for the tasks \['qa'\], whose "
        r"rows are cut into windows, but it is one. Load it without `streaming`",
    ):
        prepare(SUITE, {"qa": stream}, tokenizer)


def test_answers_that_are_missing_everywhere_are_refused(tokenizer):
    rows = Dataset.from_list([ROWS[1], {**ROWS[1], "answers": None}]).select([1])
    with pytest.raises(ValueError, match="must have at least one label for task 'qa'"):
        prepare(SUITE, {"qa": rows}, tokenizer)


def test_an_answer_outside_of_its_context_names_the_row(tokenizer):
    wrong = {**ROWS[1], "answers": given("runs", 9)}
    rows = Dataset.from_list([ROWS[1]] * 1050 + [wrong])
    with pytest.raises(ValueError, match="must lie in their context, but row 1050 has 'runs'"):
        prepare(SUITE, {"qa": rows}, tokenizer)


def test_tasks_on_one_source_must_be_cut_alike(tokenizer):
    other = SPEC.replace(source="qa", options={"stride": 2})
    suite = TaskSuite({"qa": SPEC, "other": other})
    with pytest.raises(
        ValueError, match=r"question_context \(\{'stride': 1\}\) from .*'stride': 2"
    ):
        prepare(suite, {"qa": Dataset.from_list(ROWS)}, tokenizer)
    # What decides on answers only may differ.
    suite = TaskSuite({"qa": SPEC, "other": other.replace(options={"stride": 1, "n_best": 5})})
    collection = prepare(suite, {"qa": Dataset.from_list(ROWS)}, tokenizer)
    assert collection.labels("qa") == collection.labels("other")


def test_prepared_windows_come_back_from_their_folder(collection, tokenizer, tmp_path):
    save_prepared({"train": collection}, tmp_path / "prepared")
    loaded = load_prepared(tmp_path / "prepared", SUITE, tokenizer)["train"]
    assert loaded.labels("qa") == collection.labels("qa")
    draw = Draw("qa", (3, 0))
    theirs, ours = (Collate(SUITE, tokenizer)([each[draw]]) for each in (loaded, collection))
    assert torch.equal(
        theirs["forwards"][0]["inputs"]["input_ids"], ours["forwards"][0]["inputs"]["input_ids"]
    )
    assert theirs["forwards"][0]["traces"] == ours["forwards"][0]["traces"]


def test_prepared_windows_of_another_stride_are_refused(collection, tokenizer, tmp_path):
    save_prepared({"train": collection}, tmp_path / "prepared")
    other = TaskSuite({"qa": SPEC.replace(options={"stride": 2})})
    with pytest.raises(
        ValueError, match=r"the `options` of task 'qa' is \{'stride': 1\}, not \{'stride': 2\}"
    ):
        load_prepared(tmp_path / "prepared", other, tokenizer)
    strict = TaskSuite({"qa": SPEC.replace(options={"stride": 1, "null_threshold": 2.0})})
    assert load_prepared(tmp_path / "prepared", strict, tokenizer)["train"].suite == strict
