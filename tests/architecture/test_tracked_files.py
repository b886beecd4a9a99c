# SPDX-License-Identifier: Apache-2.0
"""What is committed names no package server, no place of one machine, and carries no data."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Package servers come from each machine's own configuration of pip, never from here. Links lead to
# papers, documentation and code: a new host is added when somebody has looked at it.
HOSTS = {
    "aclanthology.org",
    "arxiv.org",
    "doi.org",
    "example.org",
    "github.com",
    "huggingface.co",
    "jmlr.org",
    "keepachangelog.com",
    "openreview.net",
    "proceedings.mlr.press",
    "pytorch.org",
    "semver.org",
    "www.apache.org",
    "yaml.org",  # of YAML's tags
}
LINK = re.compile(r"(?:https?|ftp)://([\w.-]+)")
HOST = re.compile(r"\b((?:[a-z0-9-]+\.){1,4}(?:org|com|net|io))\b(?![\w(=])")
PLACE_OF_ONE_MACHINE = re.compile(r"(?<![\w.$}])/(?:work|root|home/\w+|Users/\w+|opt|mnt)/[\w.-]+")
DOCUMENT = re.compile(r"\b[A-Z][A-Z_]+\.md\b")
LARGEST_BYTES = 500_000


def tracked_files(root: Path) -> list[Path]:
    """Files that git has, or would take."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    ).stdout
    return sorted(root / name for name in listing.split("\0") if name and (root / name).is_file())


def lines(paths: Iterable[Path]) -> Iterable[tuple[str, str]]:
    """Every line of the text files, with where it stands."""
    for path in paths:
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            yield f"{path.name}:{number}", line


def foreign_hosts(paths: Iterable[Path]) -> list[str]:
    """Hosts outside HOSTS, as links or by themselves."""
    return [
        f"{where} names {host}"
        for where, line in lines(paths)
        for host in {*LINK.findall(line), *HOST.findall(line)}
        if host not in HOSTS
    ]


def places_of_one_machine(paths: Iterable[Path]) -> list[str]:
    """Absolute paths that exist on somebody's machine only."""
    return [
        f"{where} names {place}"
        for where, line in lines(paths)
        for place in PLACE_OF_ONE_MACHINE.findall(line)
    ]


def absent_documents(paths: Iterable[Path]) -> list[str]:
    """Mentions of documents (README.md and their like) that are not among the files."""
    names = {path.name for path in paths}
    return [
        f"{where} names {document}"
        for where, line in lines(paths)
        for document in DOCUMENT.findall(line)
        if document not in names
    ]


def large_files(paths: Iterable[Path]) -> list[str]:
    """Files over LARGEST_BYTES: data and weights are fetched, not committed."""
    return [path.name for path in paths if path.stat().st_size > LARGEST_BYTES]


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    return tracked_files(ROOT)


def test_git_knows_the_files(tracked):
    assert ROOT / "pyproject.toml" in tracked


def test_links_lead_to_known_hosts(tracked):
    assert foreign_hosts(tracked) == []


@pytest.mark.parametrize("line", ["https://{}/simple", "see {}", "http://{}:8080"])
def test_another_host_is_found(tmp_path, line):
    server = ".".join(("packages", "example", "com"))
    (tmp_path / "Makefile").write_text(f"first\n{line.format(server)}\n")
    assert foreign_hosts([tmp_path / "Makefile"]) == [f"Makefile:2 names {server}"]


def test_known_hosts_and_dotted_names_of_python_are_fine(tmp_path):
    (tmp_path / "a.py").write_text("https://arxiv.org/abs/1810.04650 scipy.io(x) np.float64.com=1")
    assert foreign_hosts([tmp_path / "a.py"]) == []


def test_no_file_names_a_place_of_one_machine(tracked):
    assert places_of_one_machine(tracked) == []


@pytest.mark.parametrize("top", ["work", "root", "home/ada", "Users/ada", "opt"])
def test_a_place_of_one_machine_is_found(tmp_path, top):
    (tmp_path / "a.yaml").write_text(f"cache: $(HOME)/x\ndata: /{top}/rows.csv\n")
    assert places_of_one_machine([tmp_path / "a.yaml"]) == [f"a.yaml:2 names /{top}/rows.csv"]


def test_every_document_that_is_named_is_there(tracked):
    assert absent_documents(tracked) == []


def test_a_document_that_is_not_there_is_found(tmp_path):
    absent = "absent".upper() + ".md"
    (tmp_path / "README.md").write_text(f"See README.md and {absent}.")
    assert absent_documents([tmp_path / "README.md"]) == [f"README.md:1 names {absent}"]


def test_no_data_and_no_weights_are_committed(tracked):
    assert large_files(tracked) == []


def test_a_large_file_is_found(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(LARGEST_BYTES + 1))
    assert large_files([tmp_path / "model.safetensors"]) == ["model.safetensors"]
