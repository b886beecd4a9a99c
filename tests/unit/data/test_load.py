# SPDX-License-Identifier: Apache-2.0
"""Loading from files that the test writes."""

import pytest
from datasets import Dataset, DatasetDict
from PIL import Image

from hf_mtl.data import load_source


@pytest.fixture
def csv(tmp_path):
    """Arguments that read ten rows, of two authors, from a CSV file."""
    path = tmp_path / "rows.csv"
    path.write_text("text,author\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(10)))
    return {"path": "csv", "data_files": str(path), "cache_dir": str(tmp_path / "cache")}


def saved(rows, folder, kind):
    """Arguments that read the rows from files of a kind."""
    file = folder / f"rows.{kind}"
    match kind:
        case "csv":
            rows.to_csv(file)
        case "json":
            rows.to_json(file)
        case "parquet":
            rows.to_parquet(file)
        case "text":
            file.write_text("\n".join(rows["text"]))
        case "arrow":
            rows.save_to_disk(file)
            return {"path": "arrow", "data_files": str(file / "*.arrow")}
        case "imagefolder":
            for index, label in enumerate(rows["label"]):
                (file / label).mkdir(parents=True, exist_ok=True)
                Image.new("L", (2, 2), color=index).save(file / label / f"{index}.png")
            return {"path": kind, "data_dir": str(file)}
    return {"path": kind, "data_files": str(file)}


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("csv", ["text", "label"]),
        ("json", ["text", "label"]),
        ("parquet", ["text", "label"]),
        ("arrow", ["text", "label"]),
        ("text", ["text"]),
        ("imagefolder", ["image", "label"]),
    ],
)
def test_local_files_of_every_kind_are_read(tmp_path, kind, columns):
    rows = Dataset.from_dict({"text": [f"row {i}" for i in range(6)], "label": ["a", "b"] * 3})
    data = saved(rows, tmp_path, kind) | {"split": {"test_size": 2}}
    loaded = load_source({**data, "cache_dir": str(tmp_path / "cache")})
    assert loaded.num_rows == {"train": 4, "test": 2}
    assert loaded["train"].column_names == columns


def test_arguments_go_to_load_dataset(csv):
    loaded = load_source({**csv, "data_files": {"train": csv["data_files"]}, "sep": ","})
    assert loaded.num_rows == {"train": 10}
    assert loaded["train"].column_names == ["text", "author"]


def test_one_split_by_name_becomes_train(csv):
    assert load_source({**csv, "split": "train[:4]"}).num_rows == {"train": 4}


def test_data_without_splits_are_split(csv):
    rule = {"test_size": 0.5, "seed": 3, "group_by": "author"}
    loaded = load_source({**csv, "split": rule})
    assert [set(loaded[name]["author"]) for name in ("train", "test")] in (
        [{"a"}, {"b"}],
        [{"b"}, {"a"}],
    )


def test_max_examples_bounds_every_split(csv):
    loaded = load_source({**csv, "split": {"test_size": 0.5}, "max_examples": 3})
    assert loaded.num_rows == {"train": 3, "test": 3}


def test_max_examples_may_name_splits(csv):
    loaded = load_source({**csv, "split": {"test_size": 0.5}, "max_examples": {"train": 2}})
    assert loaded.num_rows == {"train": 2, "test": 5}


def test_two_loads_give_the_same_rows_and_fingerprints(csv):
    data = {**csv, "split": {"test_size": 0.3, "stratify_by": "author"}, "max_examples": 4}
    first, second = load_source(data), load_source(data)
    assert first["train"][:] == second["train"][:]
    assert first["train"]._fingerprint == second["train"]._fingerprint


def test_datasets_are_taken_as_they_are():
    rows = Dataset.from_dict({"text": ["a"]})
    splits = DatasetDict({"validation": rows})
    assert load_source(splits) is splits
    assert load_source(rows)["train"] is rows


def test_the_given_mapping_is_left_alone(csv):
    data = {**csv, "split": {"test_size": 0.5}, "max_examples": 2}
    before = dict(data)
    load_source(data)
    assert data == before


def test_a_path_is_needed():
    with pytest.raises(ValueError, match=r"`data` must have a `path`.* but got only \['data_file"):
        load_source({"data_files": "x.csv"})


def test_a_list_is_no_source():
    with pytest.raises(TypeError, match=r"`data` must be a mapping .*, but got \['x.csv'\]"):
        load_source(["x.csv"])


def test_data_with_splits_are_not_split_again(csv):
    files = {"train": csv["data_files"], "test": csv["data_files"]}
    with pytest.raises(
        ValueError, match=r"split already, .* beside the splits \['train', 'test'\]"
    ):
        load_source({**csv, "data_files": files, "split": {"test_size": 0.1}})


def test_an_unknown_field_of_split_offers_the_nearest(csv):
    with pytest.raises(TypeError, match=r"field of `split` 'groupby'. Did you mean 'group_by'\?"):
        load_source({**csv, "split": {"test_size": 0.1, "groupby": "author"}})


def test_a_split_has_a_size(csv):
    with pytest.raises(TypeError, match="`split` must have a `test_size`"):
        load_source({**csv, "split": {"seed": 1}})


def test_max_examples_of_an_unknown_split_is_refused(csv):
    with pytest.raises(KeyError, match=r"split in `max_examples` 'trian'. Did you mean 'train'\?"):
        load_source({**csv, "max_examples": {"trian": 2}})


def test_streams_are_refused(csv):
    with pytest.raises(TypeError, match=r"must be read whole, .* Leave `streaming` out"):
        load_source({**csv, "streaming": True})
