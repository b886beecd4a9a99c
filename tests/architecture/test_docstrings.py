# SPDX-License-Identifier: Apache-2.0
"""Everything public says what it is."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

WRAPPERS = (property, classmethod, staticmethod)


def modules(package: str) -> Iterator[ModuleType]:
    """The package and every module below it, imported."""
    root = importlib.import_module(package)
    yield root
    for info in pkgutil.walk_packages(root.__path__, prefix=f"{package}."):
        yield importlib.import_module(info.name)


def has_own_text(cls: type) -> bool:
    """Whether the class has a docstring that somebody wrote; dataclasses make up their own."""
    text = cls.__dict__.get("__doc__")
    return bool(text) and not text.startswith(f"{cls.__name__}(")


def silent_members(cls: type) -> list[str]:
    """Public methods and properties of a class without a text of their own or an inherited one."""
    return [
        name
        for name, member in vars(cls).items()
        if not name.startswith("_")
        and (isinstance(member, WRAPPERS) or inspect.isfunction(member))
        and not inspect.getdoc(getattr(cls, name))
    ]


def undocumented(package: str) -> list[str]:
    """Public modules, functions, classes, methods and properties that say nothing."""
    found = []
    for module in modules(package):
        if not module.__doc__:
            found.append(module.__name__)
        for name in getattr(module, "__all__", ()):
            member = getattr(module, name)
            if getattr(member, "__module__", None) != module.__name__:
                continue
            where = f"{module.__name__}.{name}"
            if inspect.isclass(member):
                found += [] if has_own_text(member) else [where]
                found += [f"{where}.{each}" for each in silent_members(member)]
            elif inspect.isfunction(member) and not member.__doc__:
                found.append(where)
    return found


def test_everything_public_has_a_docstring():
    assert undocumented("hf_mtl") == []


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of an importable package `planted_package`."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "planted_package"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""A package."""\n')
    return folder


def test_what_says_nothing_is_found(planted):
    (planted / "silent.py").write_text(
        "from dataclasses import dataclass\n"
        "from pathlib import Path\n"
        "__all__ = ['Path', 'Made', 'Told', 'compute']\n"
        "@dataclass\n"
        "class Made:\n"
        "    size: int = 1\n"
        "class Base:\n"
        "    def told(self):\n"
        "        '''Inherited by the method below.'''\n"
        "class Told(Base):\n"
        "    '''A class.'''\n"
        "    def told(self): ...\n"
        "    def silent(self): ...\n"
        "    @property\n"
        "    def mute(self): ...\n"
        "    def _private(self): ...\n"
        "def compute(): ...\n"
        "def not_public(): ...\n"
    )
    assert undocumented("planted_package") == [
        "planted_package.silent",
        "planted_package.silent.Made",
        "planted_package.silent.Told.silent",
        "planted_package.silent.Told.mute",
        "planted_package.silent.compute",
    ]
