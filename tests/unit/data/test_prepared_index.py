# SPDX-License-Identifier: Apache-2.0
"""Prepared rows come back from their folder as they were, or not at all."""

import json
import pickle
from itertools import islice

import numpy as np
import pytest
from datasets import Dataset, Features, Image, Value
from transformers import PreTrainedTokenizerFast

from hf_mtl.data import (
    SAMPLERS,
    Draw,
    SourceCollection,
    StepPlan,
    prepare,
    row_lengths,
    train_dataloader,
)
from hf_mtl.data.prepared_index import (
    INDEX_FILE,
    load_prepared,
    prepared_details,
    save_prepared,
)
from hf_mtl.data.processing_fingerprint import processing_fingerprint
from hf_mtl.tasks import TaskSpec, TaskSuite

SUITE = TaskSuite(
    {
        "kind": TaskSpec("text-classification", labels=("a", "b"), source="rows"),
        "score": TaskSpec("regression", columns={"label": "score"}, source="rows"),
        "other": TaskSpec("text-classification", labels=("x", "y", "z"), max_length=4),
    }
)
ROWS = Dataset.from_dict(
    {
        "text": ["red fox", "foxes", "fox runs fast .", "red"],
        "label": ["a", "b", None, "a"],
        "score": [1.0, None, 0.5, -1.0],
    }
)
OTHER = Dataset.from_dict({"text": ["red fox runs", "fox"] * 1100, "label": ["z", "x"] * 1100})


@pytest.fixture
def collection(tokenizer):
    # In an order of their own, as rows are that were shuffled or selected.
    return prepare(SUITE, {"rows": ROWS.select([3, 1, 0, 2]), "other": OTHER}, tokenizer)


@pytest.fixture
def folder(collection, tmp_path):
    save_prepared({"train": collection}, tmp_path / "prepared")
    return tmp_path / "prepared"


def draws(collection: SourceCollection) -> list[str]:
    """What some draws of every source give, as text: a missing score is NaN."""
    return [
        repr(collection[Draw(name, rows)])
        for name, source in collection.sources.items()
        for rows in (tuple(range(source.num_rows)), (source.num_rows - 1, 0, 0))
    ]


def test_every_draw_is_the_same(collection, folder, tokenizer):
    loaded = load_prepared(folder, SUITE, tokenizer)["train"]
    assert draws(loaded) == draws(collection)
    assert list(loaded.sources) == ["rows", "other"]
    assert loaded.suite == SUITE


def test_batches_are_the_same(collection, folder, tokenizer):
    loaded = load_prepared(folder, SUITE, tokenizer)["train"]
    batches = []
    for rows in (collection, loaded):
        plan = StepPlan(rows.sizes(batch_size=2), sampler=SAMPLERS.build("round_robin"))
        batches.append(repr(list(islice(train_dataloader(rows, plan), 4))))
    assert batches[0] == batches[1]


def test_lengths_are_read_without_the_rows(folder, tokenizer):
    source = load_prepared(folder, SUITE, tokenizer)["train"].sources["rows"]
    assert row_lengths(source).to_pylist() == [3, 4, 4, 6]


def test_sources_with_columns_of_the_same_kinds_share_a_file(tokenizer, tmp_path):
    spec = TaskSpec("text-classification", labels=("x", "y", "z"))
    suite = TaskSuite({f"task{i}": spec for i in range(5)})
    rows = prepare(suite, dict.fromkeys(suite, OTHER), tokenizer)
    save_prepared({"train": rows}, tmp_path)
    assert len(list(tmp_path.glob("*.arrow"))) == 1


def test_no_file_is_opened_before_the_first_draw(folder, tokenizer):
    loaded = load_prepared(folder, SUITE, tokenizer)["train"]
    assert loaded.sizes(batch_size=2)["other"].num_rows == 2200
    for path in folder.glob("*.arrow"):
        path.unlink()
    with pytest.raises(FileNotFoundError):
        loaded[Draw("rows", (0,))]


def test_another_process_opens_the_files_by_itself(collection, folder, tokenizer):
    loaded = load_prepared(folder, SUITE, tokenizer)["train"]
    draws(loaded)
    content = pickle.dumps(loaded.sources)
    assert len(content) < 10_000  # places of rows, not the rows
    again = SourceCollection(SUITE, pickle.loads(content), tokenizer)
    assert draws(again) == draws(collection)


def test_rows_that_serve_two_splits_are_written_once(collection, tokenizer, tmp_path):
    save_prepared({"train": collection, "test": collection}, tmp_path / "two")
    save_prepared({"train": collection}, tmp_path / "one")
    sizes = [
        sum(path.stat().st_size for path in (tmp_path / name).glob("*.arrow"))
        for name in ("one", "two")
    ]
    assert sizes[0] == sizes[1]
    loaded = load_prepared(tmp_path / "two", SUITE, tokenizer)
    assert draws(loaded["test"]) == draws(loaded["train"])


def test_a_split_may_have_some_of_the_sources(collection, tokenizer, tmp_path):
    part = SourceCollection(
        SUITE.subset(["other"]), {"other": collection.sources["other"]}, tokenizer
    )
    save_prepared({"train": collection, "test": part}, tmp_path)
    assert list(load_prepared(tmp_path, SUITE, tokenizer)["test"].suite) == ["other"]


def test_pictures_are_kept_as_they_are(image_processor, tmp_path):
    pictures = [np.full((8, 8, 3), shade, dtype=np.uint8) for shade in (0, 255)]
    features = Features({"image": Image(), "label": Value("string")})
    rows = Dataset.from_dict({"image": pictures, "label": ["dark", "light"]}, features=features)
    suite = TaskSuite({"shade": TaskSpec("image-classification", labels=("dark", "light"))})
    collection = prepare(suite, {"shade": rows}, image_processor)
    save_prepared({"train": collection}, tmp_path)
    loaded = load_prepared(tmp_path, suite, image_processor)["train"]
    draw = Draw("shade", (1, 0))
    assert repr(loaded[draw]) == repr(collection[draw])


def test_label_names_that_were_found_are_kept(folder, tokenizer):
    suite = SUITE.replace("kind", labels=None)
    assert load_prepared(folder, suite, tokenizer)["train"].suite == SUITE


def test_what_does_not_change_rows_may_change(folder, tokenizer):
    suite = SUITE.replace("other", batch_size=3, weight=2.0, metrics=("f1_macro",))
    loaded = load_prepared(folder, suite, tokenizer)["train"]
    assert loaded.suite == suite
    assert loaded.sizes(batch_size=8)["other"].batch_size == 3


def test_details_are_kept(collection, tmp_path):
    save_prepared({"train": collection}, tmp_path, details={"from": "here"})
    assert prepared_details(tmp_path) == {"from": "here"}


def test_rows_are_replaced_all_at_once(collection, folder, tokenizer, monkeypatch):
    before = sorted(folder.iterdir())

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", stop)
        with pytest.raises(KeyboardInterrupt):
            save_prepared({"train": collection, "test": collection}, folder)
    assert list(load_prepared(folder, SUITE, tokenizer)) == ["train"]
    save_prepared({"train": collection, "test": collection}, folder)
    assert list(load_prepared(folder, SUITE, tokenizer)) == ["train", "test"]
    after = sorted(folder.iterdir())
    assert len(after) == len(before)
    assert set(after) & set(before) == {folder / INDEX_FILE}


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        (SUITE.without_task("other"), r"`prepared` has \['other'\], which are no tasks"),
        (SUITE.with_task("new", TaskSpec("regression")), r"`prepared` must cover every task.*new"),
        (
            SUITE.replace("other", labels=("x", "z", "y")),
            r"the `labels` of task 'other' is \['x', 'y', 'z'\], not \['x', 'z', 'y'\]. Prepare",
        ),
        (
            SUITE.replace("other", max_length=8),
            "the `max_length` of task 'other' is 4, not 8",
        ),
        (
            SUITE.replace("other", columns={"text": "body"}),
            "the `columns` of task 'other' is {}, not {'text': 'body'}",
        ),
    ],
)
def test_rows_of_other_tasks_are_refused(folder, tokenizer, suite, message):
    with pytest.raises(ValueError, match=message):
        load_prepared(folder, suite, tokenizer)


def test_rows_of_another_tokenizer_are_refused(folder, tokenizer):
    tokenizer.add_tokens(["wolf"])
    with pytest.raises(ValueError, match=r"at hand, a \w+, but '.*prepared' was with another one"):
        load_prepared(folder, SUITE, tokenizer)


def test_rows_of_another_version_are_refused(folder, tokenizer):
    index = json.loads((folder / INDEX_FILE).read_text("utf-8"))
    index["version"]["format"] = 0
    (folder / INDEX_FILE).write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ValueError, match=r"by this version of hf_mtl, .* is of {'format': 0, .*"):
        load_prepared(folder, SUITE, tokenizer)


def test_a_file_that_was_cut_off_is_refused_by_name(folder, tokenizer):
    path = min(folder.glob("*.arrow"))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=rf"'{path}' has \d+ of \d+ bytes. Prepare the data again"):
        load_prepared(folder, SUITE, tokenizer)


def test_a_folder_without_an_index_is_refused(tmp_path, tokenizer):
    with pytest.raises(FileNotFoundError, match=r"wrote, but there is no prepared.json in"):
        load_prepared(tmp_path, SUITE, tokenizer)


def test_other_files_are_not_touched(collection, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match=r"`folder` must be new, .* holds other files"):
        save_prepared({"train": collection}, tmp_path)


def test_nothing_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="`collections` must hold at least one split"):
        save_prepared({}, tmp_path)


def test_streams_are_refused(tokenizer, tmp_path):
    suite = SUITE.subset(["kind", "score"])
    rows = prepare(suite, {"rows": ROWS.to_iterable_dataset()}, tokenizer)
    with pytest.raises(ValueError, match=r"no streams, .* has \['rows'\]. Leave `streaming`"):
        save_prepared({"train": rows}, tmp_path)


def test_use_does_not_change_the_fingerprint_of_a_tokenizer(tokenizer):
    before = processing_fingerprint(tokenizer)
    tokenizer(["red fox", "fox"], truncation=True, max_length=3, padding=True)
    assert processing_fingerprint(tokenizer) == before
    tokenizer.model_max_length = 16
    assert processing_fingerprint(tokenizer) != before


def test_how_it_was_loaded_does_not_change_the_fingerprint_of_a_tokenizer(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    offline, online = (
        PreTrainedTokenizerFast.from_pretrained(tmp_path, local_files_only=only)
        for only in (True, False)
    )
    assert processing_fingerprint(offline) == processing_fingerprint(online)
