# SPDX-License-Identifier: Apache-2.0
"""Streams as sources: from files, beside map-style rows, of any kind of task, and gone wrong."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import (
    ClassLabel,
    Dataset,
    Features,
    Image,
    IterableDataset,
    SplitDict,
    SplitInfo,
    Value,
    load_dataset,
)
from toy_streams import number_stream, numbers_at

from hf_mtl.data import (
    Collate,
    Draw,
    RoundRobinSampler,
    SourceSize,
    StepPlan,
    TemperatureSampler,
    UniformSampler,
    check_lengths,
    find_labels,
    prepare,
    train_dataloader,
)
from hf_mtl.tasks import TaskSpec, TaskSuite

# Readers of CSV files in `datasets` leave closing them to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)

NEWS = TaskSuite({"score": TaskSpec("regression", source="news")})


def write_files(folder: Path, file_format: str) -> list[str]:
    """Two files of 100 rows each; the labels of the second one begin with 1000."""
    files = []
    for shard in range(2):
        path = folder / f"rows{shard}.{file_format}"
        numbers = range(1000 * shard, 1000 * shard + 100)
        rows = [{"text": "red fox", "label": float(number), "extra": "x"} for number in numbers]
        if file_format == "parquet":
            Dataset.from_list(rows).to_parquet(path)
        elif file_format == "json":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            with path.open("w", newline="") as lines:
                writer = csv.DictWriter(lines, rows[0])
                writer.writeheader()
                writer.writerows(rows)
        files.append(str(path))
    return files


def streamed(file_format: str, files: list[str]) -> IterableDataset:
    return load_dataset(file_format, data_files=files, split="train", streaming=True)


@pytest.mark.parametrize("file_format", ["csv", "json", "parquet"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_files_are_streamed(stream_of, tmp_path, file_format, num_workers):
    files = write_files(tmp_path, file_format)
    collection = stream_of(streamed(file_format, files), shuffle_rows=9)
    plan = StepPlan({"news": SourceSize(200, 8, is_stream=True)}, tasks_per_step="all")
    batches = list(train_dataloader(collection, plan, num_workers=num_workers))
    labels = [
        label for batch in batches for label in batch["forwards"][0]["labels"]["score"].tolist()
    ]
    assert Counter(labels) == dict.fromkeys([*range(100), *range(1000, 1100)], 1)
    assert labels != sorted(labels)


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stream_stands_beside_map_style_rows(tokenizer, merged, num_workers):
    suite = TaskSuite({**NEWS, "words": TaskSpec("token-classification", labels=("a", "b"))})
    words = Dataset.from_dict({"tokens": [["red", "fox"]] * 3, "labels": [["a", "b"]] * 3})
    collection = prepare(suite, {"news": number_stream(5, 5), "words": words}, tokenizer)
    collection.start_streams(seed=0)
    sizes = collection.sizes(batch_size=2, max_steps=4)
    assert sizes == {
        "news": SourceSize(8, 2, is_stream=True, is_nominal=True),
        "words": SourceSize(3, 2),
    }
    plan = StepPlan(sizes, tasks_per_step="all")
    batches = list(train_dataloader(collection, plan, merged=merged, num_workers=num_workers))
    assert len(batches) == 4
    labels = [forward["labels"] for batch in batches for forward in batch["forwards"]]
    assert sum(len(given["score"]) for given in labels if "score" in given) == 8
    # Each worker says once where it is.
    assert ["positions" in batch for batch in batches] == [True, num_workers == 2, False, False]
    assert set(batches[0]["positions"]) == {"news"}


def test_the_rows_of_a_stream_are_encoded_as_those_of_a_data_set(tokenizer):
    suite = TaskSuite(
        {
            "parts": TaskSpec("token-classification", labels=("noun", "verb"), source="words"),
            "kind": TaskSpec(
                "text-classification",
                columns={"text": "tokens", "label": "kind"},
                source="words",
                labels=("y", "x"),
            ),
        }
    )
    rows = Dataset.from_dict(
        {
            "tokens": [["foxes", "runs"], ["red", "fox"]],
            "labels": [["noun", "verb"], None],
            "kind": [0, None],
        }
    ).cast_column("kind", ClassLabel(names=["x", "y"]))
    draw, collate = Draw("words", (0, 1)), Collate(suite, tokenizer)
    plain = collate([prepare(suite, {"words": rows}, tokenizer)[draw]])
    stream = prepare(suite, {"words": rows.to_iterable_dataset()}, tokenizer)
    batch = collate([stream[draw]])
    assert str(batch["forwards"]) == str(plain["forwards"])
    assert batch["forwards"][0]["labels"]["kind"].tolist() == [1, -100]
    filler = collate([stream[Draw("words", (1,), is_filler=True)]])
    assert set(filler["forwards"][0]["labels"]["parts"].flatten().tolist()) == {-100}


def test_pictures_are_streamed_and_decoded_when_they_are_used(image_processor):
    def pictures():
        for shade in range(4):
            yield {"image": np.full((8, 8, 3), 60 * shade, np.uint8), "label": shade % 2}

    features = Features({"image": Image(), "label": ClassLabel(names=["dark", "light"])})
    rows = IterableDataset.from_generator(pictures, features=features)
    suite = find_labels(TaskSuite({"shade": TaskSpec("image-classification")}), {"shade": rows})
    assert suite["shade"].labels == ("dark", "light")
    collection = prepare(suite, {"shade": rows}, image_processor)
    batch = Collate(suite, image_processor)([collection[Draw("shade", (0, 3))]])
    (forward,) = batch["forwards"]
    assert forward["inputs"]["pixel_values"].shape == (2, 3, 8, 8)
    shades = torch.unique(forward["inputs"]["pixel_values"])
    assert shades.tolist() == pytest.approx([-1, 180 / 127.5 - 1])
    assert forward["labels"]["shade"].tolist() == [0, 1]


# Lengths


def test_a_stream_of_unknown_length_is_as_long_as_the_run(stream_of):
    collection = stream_of(number_stream(5))
    with pytest.raises(TypeError, match="'news' is a stream of unknown length"):
        len(collection)
    with pytest.raises(ValueError, match=r"`max_steps` must be given, .* \['news'\] .* but got -1"):
        collection.sizes(batch_size=4)
    sizes = collection.sizes(batch_size=4, num_slots=2, max_steps=10, draws_per_step=3)
    assert sizes == {"news": SourceSize(10 * 3 * 4 * 2, 8, is_stream=True, is_nominal=True)}


@pytest.mark.parametrize("sampler", [UniformSampler(), RoundRobinSampler()])
@pytest.mark.parametrize("batch_size", [2, 32])
def test_an_epoch_is_no_shorter_than_the_run(tokenizer, sampler, batch_size):
    suite = TaskSuite({**NEWS, "other": TaskSpec("regression", batch_size=8)})
    other = Dataset.from_dict({"text": ["red"] * 5, "label": [0.0] * 5})
    collection = prepare(suite, {"news": number_stream(5), "other": other}, tokenizer)
    sizes = collection.sizes(batch_size=batch_size, max_steps=50, draws_per_step=2, sampler=sampler)
    assert StepPlan(sizes, sampler=sampler, tasks_per_step=2).num_steps >= 50


def test_samplers_that_go_by_sizes_are_refused_for_unknown_lengths(tokenizer, stream_of):
    suite = TaskSuite({**NEWS, "other": TaskSpec("regression")})
    collection = prepare(suite, dict.fromkeys(suite.sources, number_stream(5)), tokenizer)
    expected = r"such as \['fixed', 'round_robin', 'scheduled', 'uniform'\], .*TemperatureSampler"
    with pytest.raises(ValueError, match=expected):
        collection.sizes(batch_size=2, max_steps=9, sampler=TemperatureSampler())
    alone = stream_of(number_stream(5)).sizes(
        batch_size=2, max_steps=9, sampler=TemperatureSampler()
    )
    assert alone == {"news": SourceSize(18, 2, is_stream=True, is_nominal=True)}


def test_a_known_length_is_used(stream_of):
    collection = stream_of(number_stream(5, 5), num_rows={"news": 10})
    assert len(collection) == 10
    sizes = collection.sizes(batch_size=4, sampler=TemperatureSampler())
    assert sizes == {"news": SourceSize(10, 4, is_stream=True)}
    with pytest.raises(ValueError, match="`num_rows of source 'news'` must be a positive"):
        stream_of(number_stream(5), num_rows={"news": 0})
    with pytest.raises(ValueError, match=r"`num_rows` must be given for streams only, but 'new' "):
        stream_of(number_stream(5), num_rows={"new": 3})


def test_a_length_that_is_not_given_is_unknown_whatever_the_data_set_says(stream_of):
    """`datasets` fills it in where the same files lie in its cache, on some machines only."""
    rows = number_stream(5, 5)
    rows.info.splits = SplitDict({"train": SplitInfo("train", num_examples=10)})
    assert stream_of(rows).sources["news"].num_rows is None


# What goes wrong


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"text": null, "label": 1.0}', "`text` must be a text .* row 0 holds None"),
        ('{"text": "red", "label": Infinity}', "must be a finite number, but row 0 has inf"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(stream_of, tmp_path, num_workers, bad, reason):
    files = write_files(tmp_path, "json")
    lines = Path(files[1]).read_text().splitlines()
    lines[70] = bad
    Path(files[1]).write_text("\n".join(lines))
    collection = stream_of(streamed("json", files), shuffle_rows=20)
    plan = StepPlan({"news": SourceSize(200, 4, is_stream=True)}, tasks_per_step="all")
    place = r"Row 70 of shard 1 of 2 \('[^']*rows1\.json'\) of source 'news', counted from 0"
    with pytest.raises(ValueError, match=f"(?s){place}, cannot be used.*{reason}"):
        list(train_dataloader(collection, plan, num_workers=num_workers))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("file_format", "bad"), [("json", '{"text": \n'), ("csv", "a,b,c,d,e\n"), ("parquet", None)]
)
def test_a_file_that_cannot_be_read_is_named(stream_of, tmp_path, file_format, bad, num_workers):
    files = write_files(tmp_path, file_format)
    collection = stream_of(streamed(file_format, files))
    if bad is None:
        content = Path(files[1]).read_bytes()
        Path(files[1]).write_bytes(content[:100] + b"x" * 400)
    else:
        with Path(files[1]).open("a") as lines:
            lines.write(bad)
    plan = StepPlan({"news": SourceSize(200, 4, is_stream=True)}, tasks_per_step="all")
    place = r"The data of shard 1 of 2 \('[^']*rows1\.\w+'\) of source 'news' cannot be read"
    with pytest.raises(ValueError, match=f"(?s){place}"):
        list(train_dataloader(collection, plan, num_workers=num_workers))


def test_an_unknown_label_in_a_stream_is_named(tokenizer):
    suite = TaskSuite({"topic": TaskSpec("text-classification", labels=("animal", "car"))})
    rows = Dataset.from_dict({"text": ["fox"] * 3, "label": ["animal", "car", "carr"]})
    collection = prepare(suite, {"topic": rows.to_iterable_dataset()}, tokenizer)
    expected = r"Row 2 of shard 0 of 1 of source 'topic'.*'carr'\. Did you mean 'car'\?"
    with pytest.raises(ValueError, match=expected):
        collection[Draw("topic", (0, 1, 2))]


def test_a_row_that_is_longer_than_the_backbone_reads_is_named(stream_of):
    collection = stream_of(number_stream(5))  # row 4 has six words and two special tokens
    check_lengths(collection, 7)
    assert numbers_at(collection, range(4)) == [0, 1, 2, 3]
    expected = r"Row 4 of shard 0 .* at most 7 tokens.* one has 8\. Give `max_length` .*'score'"
    with pytest.raises(ValueError, match=expected):
        numbers_at(collection, [4])


@pytest.mark.parametrize("split", ["eval", "test"])
def test_a_stream_to_evaluate_on_is_refused_with_the_way_out(tokenizer, split):
    expected = rf"`{split}_dataset` of source 'news' .*list\(stream\.take\(1000\)\)"
    with pytest.raises(TypeError, match=expected):
        prepare(NEWS, {"news": number_stream(5)}, tokenizer, split=split)


def test_a_shuffled_stream_is_refused(stream_of):
    rows = number_stream(5, 5).shuffle(seed=0, buffer_size=3)
    for chained in (rows, rows.map(lambda row: row), rows.take(3)):
        with pytest.raises(ValueError, match="`train_dataset` of source 'news' must not be shuff"):
            stream_of(chained)


def test_an_empty_stream_is_refused(stream_of):
    with pytest.raises(ValueError, match="must have at least one row, but its stream is empty"):
        stream_of(number_stream(0, 0))


def test_rows_that_are_gone_when_they_are_read_again_are_an_error(stream_of):
    given = [{"text": "red", "label": 1.0}]

    def rows():
        yield from given

    collection = stream_of(IterableDataset.from_generator(rows))
    given.clear()
    with pytest.raises(ValueError, match="at least one row, but none of its 1 shards has any"):
        numbers_at(collection, [0])


def test_columns_of_a_stream_are_checked_in_its_first_row(tokenizer):
    rows = IterableDataset.from_generator(lambda: iter([{"txt": "red", "label": 1.0}]))
    with pytest.raises(KeyError, match=r"'text' is none\. Did you mean 'txt'"):
        prepare(NEWS, {"news": rows}, tokenizer)


def test_a_first_row_that_cannot_be_read_is_an_error(tokenizer):
    def rows():
        raise OSError("the disk is gone")
        yield

    with pytest.raises(ValueError, match=r"The first row of `train_dataset` .* the disk is gone"):
        prepare(NEWS, {"news": IterableDataset.from_generator(rows)}, tokenizer)


def test_label_names_of_a_stream_have_to_be_given_or_known_to_its_features():
    suite = TaskSuite({"topic": TaskSpec("text-classification")})
    rows = Dataset.from_dict({"text": ["fox"], "label": ["animal"]}).to_iterable_dataset()
    with pytest.raises(ValueError, match=r"`labels` of task 'topic' must be given, .* a stream"):
        find_labels(suite, {"topic": rows})
    typed = rows.cast(Features({"text": Value("string"), "label": ClassLabel(names=["animal"])}))
    assert find_labels(suite, {"topic": typed})["topic"].labels == ("animal",)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"shuffle_rows": 5}, "`stream_shuffle_rows` of source 'news' must be as .* 1, but got 5"),
        ({"shards": 3}, "number of shards of source 'news' must be as .* 2, but got 3"),
    ],
)
def test_positions_of_another_stream_are_refused(stream_of, changed, expected):
    from hf_mtl.data import StreamPositions

    positions = StreamPositions()
    collection = stream_of(number_stream(4, 4))
    positions.add({"news": collection[Draw("news", (0, 1))].positions})
    rows = number_stream(*[4] * changed.get("shards", 2))
    with pytest.raises(ValueError, match=expected):
        stream_of(rows, shuffle_rows=changed.get("shuffle_rows", 1), positions=positions)


def test_the_rows_to_shuffle_together_must_be_a_positive_number(stream_of):
    with pytest.raises(ValueError, match="`stream_shuffle_rows` must be a positive whole number"):
        stream_of(number_stream(4), shuffle_rows=0)
