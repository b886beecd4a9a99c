# SPDX-License-Identifier: Apache-2.0
"""What is said of data that do not fit their tasks: what is wrong, where, and what to do."""

import pytest
from datasets import Dataset, DatasetDict
from PIL import Image

from hf_mtl.data import prepare
from hf_mtl.tasks import TaskSpec, TaskSuite

TOPIC = TaskSpec("text-classification", labels=("animal", "car"))
PARTS = TaskSpec("token-classification", labels=("noun", "verb"))


def prepare_rows(spec, rows, processing_class, **options):
    suite = TaskSuite({"topic": spec})
    dataset = Dataset.from_dict(rows) if type(rows) is dict else rows
    return prepare(suite, {"topic": dataset}, processing_class, **options)


def test_a_missing_column_shows_the_nearest_and_all(tokenizer):
    spec = TOPIC.replace(columns={"text": "bodi"})
    with pytest.raises(KeyError) as caught:
        prepare_rows(spec, {"body": ["a"], "label": ["car"]}, tokenizer)
    assert str(caught.value) == (
        "`columns` of task 'topic': 'text' must be a column of the data, but 'bodi' is none. "
        "Did you mean 'body'? Columns: ['body', 'label']."
    )


def test_a_missing_label_column_is_named(tokenizer):
    with pytest.raises(KeyError, match="'label' must be a column of the data, but 'label' is none"):
        prepare_rows(TOPIC, {"text": ["a"]}, tokenizer)


def test_a_missing_column_of_words_has_the_users_role(tokenizer):
    with pytest.raises(KeyError, match="task 'topic': 'tokens' must be a column of the data"):
        prepare_rows(PARTS, {"words": [["a"]], "labels": [["noun"]]}, tokenizer)


@pytest.mark.parametrize("num_rows", [3, 1500])
def test_a_label_outside_the_declared_set_is_named_with_its_row(tokenizer, num_rows):
    rows = {"text": ["a"] * num_rows, "label": ["car"] * (num_rows - 1) + ["anmal"]}
    message = (
        f"`labels` of task 'topic' must hold every label of its data, but row {num_rows - 1} has "
        "'anmal'. Did you mean 'animal'?"
    )
    with pytest.raises(ValueError, match=message):
        prepare_rows(TOPIC, rows, tokenizer)


def test_an_id_without_a_name_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"task 'topic' .* row 1 has 2"):
        prepare_rows(TOPIC, {"text": ["a", "b"], "label": [0, 2]}, tokenizer)


def test_a_word_for_a_number_is_refused(tokenizer):
    with pytest.raises(
        ValueError, match=r"task 'topic' must be a finite number, but row 1 has 'go"
    ):
        prepare_rows(
            TaskSpec("regression"), {"text": ["a", "b"], "label": [None, "good"]}, tokenizer
        )


def test_another_number_of_labels_than_words_is_refused(tokenizer):
    rows = {"tokens": [["a"], ["a", "b", "c"]], "labels": [["noun"], ["noun", "verb"]]}
    with pytest.raises(ValueError, match=r"task 'topic' .*row 1 has 2 labels .*3 words"):
        prepare_rows(PARTS, rows, tokenizer)


def test_an_unknown_label_of_a_word_is_named_with_its_row(tokenizer):
    rows = {"tokens": [["a"], ["a"]], "labels": [["noun"], ["nuon"]]}
    with pytest.raises(ValueError, match=r"row 1 has 'nuon'. Did you mean 'noun'\?"):
        prepare_rows(PARTS, rows, tokenizer)


@pytest.mark.parametrize(
    ("spec", "rows"),
    [
        (TOPIC, {"text": ["a", "b"], "label": [None, None]}),
        (TOPIC, {"text": ["a", "b"], "label": [-100, -100]}),
        (TaskSpec("regression"), {"text": ["a", "b"], "label": [None, float("nan")]}),
        (PARTS.replace(columns={"labels": "label"}), {"tokens": [["a"]], "label": [None]}),
        (PARTS.replace(columns={"labels": "label"}), {"tokens": [["a"]], "label": [[None]]}),
    ],
)
def test_a_column_without_any_label_is_refused(tokenizer, spec, rows):
    message = "`train_dataset` must have at least one label for task 'topic', but every row of col"
    with pytest.raises(ValueError, match=message):
        prepare_rows(spec, rows, tokenizer)


def test_an_empty_split_is_refused_by_its_name(tokenizer):
    rows = Dataset.from_dict({"text": ["a"], "label": ["car"]}).select([])
    with pytest.raises(ValueError, match="`eval_dataset` of source 'topic' must have at least one"):
        prepare_rows(TOPIC, rows, tokenizer, split="eval")


def test_a_dict_of_splits_is_no_dataset(tokenizer):
    rows = DatasetDict({"train": Dataset.from_dict({"text": ["a"], "label": ["car"]})})
    with pytest.raises(TypeError, match=r"must be a `datasets.Dataset`, but got DatasetDict\. A"):
        prepare_rows(TOPIC, rows, tokenizer)


def test_a_transform_is_refused(tokenizer):
    rows = Dataset.from_dict({"text": ["a"], "label": ["car"]}).with_transform(lambda row: row)
    with pytest.raises(ValueError, match="must be without a transform"):
        prepare_rows(TOPIC, rows, tokenizer)


def test_a_source_without_data_is_named(tokenizer):
    with pytest.raises(
        ValueError, match=r"`train_dataset` must cover every source, but \['topic'\]"
    ):
        prepare(TaskSuite({"topic": TOPIC}), {}, tokenizer)


def test_data_that_are_no_source_are_named(tokenizer):
    rows = Dataset.from_dict({"text": ["a"], "label": ["car"]})
    with pytest.raises(ValueError, match=r"`train_dataset` has \['news'\], which are no sources"):
        prepare(TaskSuite({"topic": TOPIC}), {"topic": rows, "news": rows}, tokenizer)


def test_tasks_on_one_source_read_one_input(tokenizer):
    suite = TaskSuite(
        {
            "topic": TOPIC.replace(source="rows"),
            "parts": PARTS.replace(source="rows", columns={"tokens": "words"}),
        }
    )
    rows = Dataset.from_dict(
        {"text": ["a"], "label": ["car"], "words": [["a"]], "labels": [["noun"]]}
    )
    with pytest.raises(
        ValueError, match=r"source 'rows' must read the same input, but 'topic' rea"
    ):
        prepare(suite, {"rows": rows}, tokenizer)


def test_pictures_need_an_image_processor(tokenizer):
    rows = {"image": [Image.new("RGB", (2, 2))], "label": [0]}
    spec = TaskSpec("image-classification", labels=("a",))
    with pytest.raises(TypeError, match="must be or hold an image processor"):
        prepare_rows(spec, rows, tokenizer)


def test_all_columns_are_checked_before_any_row_is_encoded(tokenizer, monkeypatch):
    suite = TaskSuite({"topic": TOPIC, "other": TOPIC})
    good = Dataset.from_dict({"text": ["a"], "label": ["car"]})
    monkeypatch.setattr(Dataset, "map", lambda *_, **__: pytest.fail("encoded a row"))
    with pytest.raises(KeyError, match="task 'other'"):
        prepare(suite, {"topic": good, "other": good.remove_columns("label")}, tokenizer)
