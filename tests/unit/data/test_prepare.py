# SPDX-License-Identifier: Apache-2.0
"""Prepared rows against tokens and labels that can be counted by hand."""

import importlib
import math

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hf_mtl.data import Draw, prepare
from hf_mtl.tasks import TaskSpec, TaskSuite

TOPIC = TaskSpec("text-classification", labels=("animal", "car"))
PARTS = TaskSpec("token-classification", labels=("noun", "verb"))


def prepared(spec, rows, processing_class, **features):
    """Rows of the only task ``task``, prepared."""
    suite = TaskSuite({"task": spec})
    dataset = rows if isinstance(rows, Dataset) else Dataset.from_dict(rows)
    return prepare(suite, {"task": dataset}, processing_class, **features).sources["task"].dataset


@pytest.fixture
def csv_rows(tmp_path):
    """Rows on disk, so that ``datasets`` keeps what it maps beside them."""
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nred fox,animal\nfast foxes,car\n")
    return datasets.load_dataset(
        "csv", data_files=str(path), cache_dir=str(tmp_path), split="train"
    )


def test_rows_hold_model_inputs_and_encoded_labels(tokenizer):
    rows = {"text": ["red fox", "foxes"], "label": ["car", "animal"], "other": [1, 2]}
    dataset = prepared(TOPIC, rows, tokenizer)
    assert set(dataset.column_names) == {*tokenizer("red"), "labels:task"}
    assert dataset["input_ids"][:] == [[2, 4, 5, 3], [2, 5, 6, 3]]
    assert dataset["labels:task"][:] == [1, 0]


def test_columns_are_mapped_to_roles(tokenizer):
    spec = TOPIC.replace(columns={"text": "body", "label": "group"})
    rows = {"body": ["red"], "group": ["car"], "text": ["fox"], "label": ["animal"]}
    dataset = prepared(spec, rows, tokenizer)
    assert dataset[0]["input_ids"] == [2, 4, 3]
    assert dataset[0]["labels:task"] == 1


def test_a_pair_of_texts_is_one_input(tokenizer):
    spec = TaskSpec("regression", columns={"text_pair": "second"})
    rows = {"text": ["red"], "second": ["fox"], "label": [0.5]}
    assert prepared(spec, rows, tokenizer)[0]["input_ids"] == [2, 4, 3, 5, 3]


def test_inputs_are_cut_at_max_length(tokenizer):
    rows = {"text": ["red fox runs fast"], "label": ["car"]}
    dataset = prepared(TOPIC.replace(max_length=4), rows, tokenizer)
    assert dataset[0]["input_ids"] == [2, 4, 5, 3]


def test_the_first_token_of_a_word_has_its_label(tokenizer):
    rows = {"tokens": [["red", "foxes", "runs"]], "labels": [["noun", "noun", "verb"]]}
    dataset = prepared(PARTS, rows, tokenizer)
    # [CLS] red fox ##es runs [SEP]
    assert dataset[0]["labels:task"] == [-100, 0, 0, -100, 1, -100]
    assert "word_ids" not in dataset.column_names


def test_tasks_on_one_source_share_its_input(tokenizer):
    suite = TaskSuite(
        {
            "parts": PARTS.replace(source="rows", columns={"tokens": "words"}),
            "topic": TOPIC.replace(source="rows", columns={"text": "words"}),
        }
    )
    rows = Dataset.from_dict(
        {"words": [["foxes", "runs"]], "labels": [["noun", "verb"]], "label": ["animal"]}
    )
    collection = prepare(suite, {"rows": rows}, tokenizer)
    (row,) = collection.sources["rows"].dataset
    assert row["input_ids"] == [2, 5, 6, 7, 3]
    assert row["labels:parts"] == [-100, 0, -100, 1, -100]
    assert row["labels:topic"] == 0
    assert len(collection) == 1


def test_missing_labels_of_a_row_are_marked_for_each_kind(tokenizer):
    texts = {"text": ["red"] * 2}
    assert prepared(TOPIC, {**texts, "label": [None, "car"]}, tokenizer)["labels:task"][:] == [
        -100,
        1,
    ]
    scores = prepared(TaskSpec("regression"), {**texts, "label": [math.nan, 2.0]}, tokenizer)[
        "labels:task"
    ][:]
    assert scores[0] is None or math.isnan(scores[0])
    assert scores[1] == 2.0
    words = {"tokens": [["red"]] * 3, "labels": [None, ["noun"], [None]]}
    assert prepared(PARTS, words, tokenizer)["labels:task"][:] == [
        [-100, -100, -100],
        [-100, 0, -100],
        [-100, -100, -100],
    ]


def test_a_row_may_lack_the_label_of_one_of_two_tasks(tokenizer):
    suite = TaskSuite(
        {
            "topic": TOPIC.replace(source="rows"),
            "score": TaskSpec("regression", source="rows", columns={"label": "score"}),
        }
    )
    rows = Dataset.from_dict({"text": ["red", "fox"], "label": ["car", None], "score": [None, 1.0]})
    dataset = prepare(suite, {"rows": rows}, tokenizer).sources["rows"].dataset
    assert dataset["labels:topic"][:] == [1, -100]
    assert dataset["labels:score"][1] == 1.0


def test_ids_are_read_by_the_names_of_their_feature(tokenizer):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["car", "animal"])})
    rows = Dataset.from_dict({"text": ["red", "fox"], "label": [0, 1]}, features=features)
    assert prepared(TOPIC, rows, tokenizer)["labels:task"][:] == [1, 0]


def test_several_processes_give_the_same_rows_as_one(tokenizer):
    rows = {"text": ["red", "fox", "fast foxes"] * 3, "label": ["car", "animal", "car"] * 3}
    one, two = (prepared(TOPIC, rows, tokenizer, num_proc=num_proc) for num_proc in (None, 2))
    assert one[:] == two[:]


def test_a_format_of_the_users_does_not_matter(tokenizer):
    rows = Dataset.from_dict({"text": ["red"], "label": ["car"]}).with_format("numpy")
    assert prepared(TOPIC, rows, tokenizer)[0]["input_ids"] == [2, 4, 3]


def test_a_second_run_finds_its_rows_in_the_cache(csv_rows, tokenizer):
    first = prepared(TOPIC, csv_rows, tokenizer)
    tokenizer(["red fox"] * 2, padding=True, truncation=True, max_length=3)  # changes its state
    second = prepared(TOPIC.replace(weight=0.5, batch_size=3), csv_rows, tokenizer)
    assert first.cache_files == second.cache_files != []
    assert first._fingerprint == second._fingerprint


@pytest.mark.parametrize("change", [{"max_length": 3}, {"labels": ("car", "animal")}])
def test_what_changes_the_rows_changes_the_cache(csv_rows, tokenizer, change):
    first = prepared(TOPIC, csv_rows, tokenizer)
    second = prepared(TOPIC.replace(**change), csv_rows, tokenizer)
    assert first[:] != second[:]


@pytest.mark.parametrize(
    ("name", "changed"), [("version", lambda _: "99.0"), ("_ENCODING", 99)], ids=["release", "own"]
)
def test_rows_of_another_release_are_encoded_again(csv_rows, tokenizer, monkeypatch, name, changed):
    first = prepared(TOPIC, csv_rows, tokenizer)
    monkeypatch.setattr(importlib.import_module("hf_mtl.data.encoding"), name, changed)
    second = prepared(TOPIC, csv_rows, tokenizer)
    assert first.cache_files != second.cache_files
    assert first[:] == second[:]


def test_another_tokenizer_is_another_cache(csv_rows, tokenizer):
    first = prepared(TOPIC, csv_rows, tokenizer)
    tokenizer.add_tokens(["red fox"])
    assert prepared(TOPIC, csv_rows, tokenizer)[0] != first[0]


def pictures():
    """Six digits of scikit-learn, as PIL pictures."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = [Image.fromarray((image * 15).astype("uint8")) for image in digits.images[:6]]
    return Dataset.from_dict({"image": images, "digit": digits.target[:6]})


DIGIT = TaskSpec(
    "image-classification", columns={"label": "digit"}, labels=tuple(map(str, range(10)))
)


@pytest.mark.parametrize("rows", [range(6), [4, 1, 2]])
def test_pictures_are_encoded_when_they_are_read(image_processor, rows):
    suite = TaskSuite({"digit": DIGIT})
    dataset = pictures().select(rows)
    collection = prepare(suite, {"digit": dataset}, image_processor)
    assert collection.sources["digit"].dataset.column_names == ["image", "labels:digit"]
    read = collection[Draw("digit", (2, 0))]
    assert read.labels == {"digit": [rows[2], rows[0]]}
    assert [features["pixel_values"].shape for features in read.features] == [(3, 8, 8)] * 2


def test_a_draw_reads_its_rows_in_its_order(tokenizer):
    suite = TaskSuite({"task": TOPIC})
    rows = Dataset.from_dict({"text": ["red", "fox", "fast"], "label": ["car", "animal", "car"]})
    collection = prepare(suite, {"task": rows}, tokenizer)
    read = collection[Draw("task", (2, 1))]
    assert read.source == "task"
    assert [features["input_ids"] for features in read.features] == [[2, 8, 3], [2, 5, 3]]
    assert read.labels == {"task": [1, 0]}


def test_sizes_count_all_slots_and_keep_a_sources_own_batch_size(tokenizer):
    rows = Dataset.from_dict({"text": ["red"] * 5, "label": ["car"] * 5})
    suite = TaskSuite({"own": TOPIC.replace(batch_size=2), "other": TOPIC})
    sizes = prepare(suite, dict.fromkeys(suite, rows), tokenizer).sizes(batch_size=8, num_slots=3)
    assert {name: (size.num_rows, size.batch_size) for name, size in sizes.items()} == {
        "own": (5, 6),
        "other": (5, 24),
    }


def test_a_wrong_row_is_named_by_its_place_in_the_data(tokenizer):
    """Rows are encoded a thousand at a time."""
    rows = Dataset.from_dict({"text": ["red fox"] * 1500, "choices": [["a", "b"]] * 1499 + [[]]})
    suite = TaskSuite({"ending": TaskSpec("multiple-choice")})
    rows = rows.add_column("label", [0] * 1500)
    with pytest.raises(ValueError, match=r"list of texts in every row, but row 1499 holds \[\]"):
        prepare(suite, {"ending": rows}, tokenizer)
    texts = Dataset.from_dict({"text": ["red"] * 1200 + [None], "label": [0.0] * 1201})
    with pytest.raises(ValueError, match="list of words in every row, but row 1200 holds None"):
        prepare(TaskSuite({"score": TaskSpec("regression")}), {"score": texts}, tokenizer)
