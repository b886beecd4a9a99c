# SPDX-License-Identifier: Apache-2.0
"""What pyproject.toml promises: types, a reason for each bound, the programs that hooks run."""

import re
import subprocess
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")


def bounds_without_reason(text: str) -> list[str]:
    """Dependencies with a bound and no comment beside it; tools of developers need none."""
    dependencies = text.split("\ndependencies = [", 1)[1].split("\n[", 1)[0]
    extras = text.split("[project.optional-dependencies]", 1)[1].split("\ndev = [", 1)[0]
    bound = re.compile(r'"([\w-]+)(?:\[.*\])?[<>=][^#]*$')
    lines = (dependencies + extras).splitlines()
    return [found[1] for line in lines if (found := bound.search(line))]


def missing_tools(hooks: str, project: str) -> list[str]:
    """Programs of local hooks that no package of the developers brings."""
    names = {re.split(r"\W*[<>=\[]", each)[0] for each in dev_packages(project)}
    hooks_of = [repo["hooks"] for repo in yaml.safe_load(hooks)["repos"]]
    entries = [hook["entry"].split()[0] for each in hooks_of for hook in each]
    return [entry for entry in entries if entry not in names]


def dev_packages(project: str) -> list[str]:
    return tomllib.loads(project)["project"]["optional-dependencies"]["dev"]


def test_type_checkers_find_our_types():
    listing = ["git", "ls-files", "hf_mtl/py.typed"]
    tracked = subprocess.run(listing, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert tracked.strip() == "hf_mtl/py.typed"
    wheel = tomllib.loads(PROJECT)["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["hf_mtl"]


def test_every_bound_has_its_reason():
    assert bounds_without_reason(PROJECT) == []


def test_a_bound_without_reason_is_found():
    text = PROJECT.replace("# recipes;", "").replace("# pictures as model input", "")
    assert bounds_without_reason(text) == ["pyyaml", "pillow"]


def test_hooks_run_what_developers_have():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert any(package.startswith("pre-commit") for package in dev_packages(PROJECT))
    assert missing_tools(hooks, PROJECT) == []


def test_a_hook_that_nobody_has_is_found():
    hooks = "repos: [{repo: local, hooks: [{entry: ruff check}, {entry: black --fast}]}]"
    assert missing_tools(hooks, PROJECT) == ["black"]
