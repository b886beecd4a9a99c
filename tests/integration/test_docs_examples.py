# SPDX-License-Identifier: Apache-2.0
"""What README and docs show is run: Python as it stands, recipes as far as the plan.

Examples read what `make data` brings. Here a tiny encoder and a few rows lie in its place.
"""

import doctest
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_COMMANDS = [*DOCUMENTS, ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("recipes/*/README.md"))]

REVIEWS = [("a good film", 2.5), ("a bad book", -2.0), ("was not dull", 0.5), ("very great", 3.0)]
NAMES = [
    (["Ada", "Byron"], ["GivenName", "Surname"], "person"),
    (["Bell", "Labs", "Inc"], ["Name", "Name", "Form"], "company"),
]
NEWS = [("the film", "rec.film"), ("the book", "rec.book")]


def path_in_repository(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def blocks(document: Path, language: str) -> list[str]:
    """Fenced blocks of one language, in their order."""
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, document.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def run_python(sources: Iterable[str], name: str) -> dict[str, Any]:
    """Runs blocks one after the other in one namespace; in a session (`>>>`) answers must agree."""
    namespace: dict[str, Any] = {"__name__": name}
    for number, source in enumerate(sources):
        if ">>> " not in source:
            exec(compile(source, f"{name}, block {number}", "exec"), namespace)
            continue
        session = doctest.DocTestParser().get_doctest(source, namespace, name, name, 0)
        session.globs = namespace
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        runner.run(session, out=report.append, clear_globs=False)
        assert not runner.failures, "".join(report)
    return namespace


def dead_links(document: Path) -> list[str]:
    """Relative links to files that are not there."""
    links = re.findall(r"\]\(([^)#:]+(?:#[^)]*)?)\)", document.read_text("utf-8"))
    return [link for link in links if not (document.parent / link.split("#")[0]).exists()]


def unknown_options(document: Path, commands: Mapping[str, Any]) -> list[str]:
    """Lines that call `hf-mtl` with a command or an option that it has not."""
    unknown = []
    text = document.read_text("utf-8")
    for line in re.findall(r"^(?: {4})?(hf-mtl [^\n]*)", text, re.MULTILINE):
        _, name, *rest = shlex.split(line, comments=True)
        options = {
            option
            for parameter in (commands[name].params if name in commands else [])
            for option in parameter.opts
        } | {"--help"}
        given = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        if name not in commands or not given <= options:
            unknown.append(line)
    return unknown


def recipes(document: Path) -> list[str]:
    """YAML blocks that are whole recipes."""
    return [
        block
        for block in blocks(document, "yaml")
        if {"model", "tasks"} <= set(yaml.safe_load(block))
    ]


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def workplace(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_tokenizer: Any,
    tiny_bert_config: Any,
) -> Path:
    """Current folder with a small `demo/data` of the same files and columns as the real one."""
    from transformers import BertModel

    data = tmp_path / "demo" / "data"
    BertModel(tiny_bert_config).save_pretrained(data / "minilm")
    # Like the real one it can hide tokens; no example needs this word.
    tiny_tokenizer.mask_token = "?"
    tiny_tokenizer.save_pretrained(data / "minilm")
    reviews = [
        {"id": str(row), "sentence": f"{text} {row}", "score": score + row % 3 / 4}
        for row, (text, score) in enumerate(REVIEWS * 10)
    ]
    names = [
        {"words": words, "tags": tags, "kind": kind, "name": f"{' '.join(words)} {row}"}
        for row, (words, tags, kind) in enumerate(NAMES * 10)
    ]
    write_rows(data / "reviews.jsonl", reviews)
    write_rows(data / "names.jsonl", names)
    for split in ("train", "test"):
        rows = ({"body": body, "group": group} for body, group in NEWS * 5)
        write_rows(data / f"news-{split}.jsonl", rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("document", DOCUMENTS, ids=path_in_repository)
def test_python_examples_run(document, workplace):
    run_python(blocks(document, "python"), document.name)


@pytest.mark.parametrize("document", DOCUMENTS, ids=path_in_repository)
def test_recipes_can_be_trained(document, workplace):
    from hf_mtl.training.recipe import Recipe, build_plan, load_data

    for text in recipes(document):
        path = workplace / "recipe.yaml"
        path.write_text(text)
        recipe = Recipe.from_file(path)
        build_plan(recipe, load_data(recipe))


@pytest.mark.parametrize("document", WITH_COMMANDS, ids=path_in_repository)
def test_make_targets_that_are_named_exist(document):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"^(?: {4})?make ([a-z]+)", document.read_text("utf-8"), re.MULTILINE)
    assert set(named) <= targets


@pytest.mark.parametrize("document", WITH_COMMANDS, ids=path_in_repository)
def test_commands_that_are_named_exist(document):
    from hf_mtl.cli.app import app

    commands = typer.main.get_command(app).commands
    assert unknown_options(document, commands) == []


@pytest.mark.parametrize("document", WITH_COMMANDS, ids=path_in_repository)
def test_links_inside_the_repository_lead_somewhere(document):
    assert dead_links(document) == []


def test_a_dead_link_is_found(tmp_path):
    document = tmp_path / "a.md"
    document.write_text("[a](a.md) [b](b.md#part) [c](https://arxiv.org/abs/1810.04650) [d](#part)")
    assert dead_links(document) == ["b.md#part"]


def test_an_unknown_command_or_option_is_found(tmp_path):
    from hf_mtl.cli.app import app

    document = tmp_path / "a.md"
    lines = ("hf-mtl predict run 'a -b' -t kind --json  # --no", "hf-mtl predict run --text a")
    document.write_text("\n".join([*lines, "    hf-mtl guess run", "hf-mtl is a word"]))
    unknown = unknown_options(document, typer.main.get_command(app).commands)
    assert unknown == [lines[1], "hf-mtl guess run", "hf-mtl is a word"]


def test_an_example_that_fails_is_found():
    with pytest.raises(ZeroDivisionError):
        run_python(["x = 0", "1 / x"], "planted")
    with pytest.raises(AssertionError, match=r"Expected:\s+3"):
        run_python(["x = 2", ">>> x\n3\n"], "planted")


def test_the_blocks_of_one_language_are_found(tmp_path):
    text = "```python\na\n```\n\n```yaml\nb: 1\n```\n\n```python\nc\n\nd\n```\n"
    (tmp_path / "a.md").write_text(text)
    assert blocks(tmp_path / "a.md", "python") == ["a\n", "c\n\nd\n"]
    assert recipes(tmp_path / "a.md") == []
