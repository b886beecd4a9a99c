# SPDX-License-Identifier: Apache-2.0
"""What every file of the package looks like: licence, name, public names, no dispatch on names."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("hf_mtl", "tests", "recipes", "benchmarks")

SPDX = "# SPDX-License-Identifier: Apache-2.0"
# Names for files whose content has no single purpose.
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "misc", "common", "core"}


def python_files(root: Path) -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))


def files_without_licence(root: Path) -> list[str]:
    """Python files that do not begin with the SPDX line."""
    return [
        f"{path.relative_to(root)} must begin with `{SPDX}`"
        for path in python_files(root)
        if path.read_text("utf-8").split("\n")[0] != SPDX
    ]


def names_that_say_nothing(root: Path) -> list[str]:
    """Files and folders named after nothing in particular."""
    return [
        f"{path.relative_to(root)} must be named after what is inside"
        for path in python_files(root)
        if SAYS_NOTHING & {part.strip("_") for part in path.relative_to(root).with_suffix("").parts}
    ]


def modules_without_all(package: Path) -> list[str]:
    """Modules that do not say what of them is public, or count a private name among it.

    A module of a docstring alone needs to say nothing.
    """
    found = []
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        names = public_names(tree)
        where = path.relative_to(package.parent)
        if names is None and len(tree.body) > 1:
            found.append(f"{where} must have an `__all__`")
        elif private := [name for name in names or () if name.startswith("_") and name[:2] != "__"]:
            found.append(f"{where} must keep {private} out of `__all__`")
    return found


def public_names(tree: ast.Module) -> list[str] | None:
    """The names in `__all__`; None if there is none."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return [each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
    return None


def folders_without_init(package: Path) -> list[str]:
    """Folders that type checkers and `pkgutil` would not see as packages."""
    folders = {path.parent for path in package.rglob("*.py")}
    return [
        f"{folder.relative_to(package.parent)} must have an `__init__.py`"
        for folder in sorted(folders)
        if not (folder / "__init__.py").exists()
    ]


def comparisons_of_class_names(package: Path) -> list[str]:
    """Comparisons with `x.__class__.__name__` or `type(x).__name__`."""
    return [
        f"{path.relative_to(package.parent)}:{node.lineno} asks for a class by name: "
        "let the class declare what the machinery must know"
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Compare | ast.Match) and any(map(is_class_name, operands(node)))
    ]


def operands(node: ast.Compare | ast.Match) -> list[ast.expr]:
    return [node.subject] if isinstance(node, ast.Match) else [node.left, *node.comparators]


def is_class_name(node: ast.expr) -> bool:
    """Whether it is the name of the class of something."""
    if not isinstance(node, ast.Attribute) or node.attr not in {"__name__", "__qualname__"}:
        return False
    owner = node.value
    is_type_call = isinstance(owner, ast.Call) and ast.unparse(owner.func) == "type"
    return is_type_call or (isinstance(owner, ast.Attribute) and owner.attr == "__class__")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_file_begins_with_its_licence():
    assert files_without_licence(ROOT) == []


@pytest.mark.parametrize("text", ["", '"""A module."""\n', f'"""A module."""\n{SPDX}\n'])
def test_a_file_without_licence_is_found(tmp_path, text):
    write(tmp_path / "tests" / "good.py", f"{SPDX}\n")
    write(tmp_path / "hf_mtl" / "bad.py", text)
    assert files_without_licence(tmp_path) == [f"hf_mtl/bad.py must begin with `{SPDX}`"]


def test_every_file_is_named_after_its_content():
    assert names_that_say_nothing(ROOT) == []


@pytest.mark.parametrize("name", ["data/utils.py", "_helpers.py", "common/loss.py"])
def test_a_name_that_says_nothing_is_found(tmp_path, name):
    write(tmp_path / "hf_mtl" / name, "")
    assert names_that_say_nothing(tmp_path) == [f"hf_mtl/{name} must be named after what is inside"]


def test_every_module_says_what_is_public():
    assert modules_without_all(ROOT / "hf_mtl") == []


def test_a_module_without_all_is_found(tmp_path):
    write(tmp_path / "hf_mtl" / "good.py", '__all__: list[str] = ["f", "__version__"]')
    write(tmp_path / "hf_mtl" / "bad.py", '"""A module."""\n\ndef f(): ...')
    write(tmp_path / "hf_mtl" / "empty.py", '"""A module of a docstring alone."""')
    write(tmp_path / "hf_mtl" / "worse.py", '__all__ = ["f", "_g"]')
    assert modules_without_all(tmp_path / "hf_mtl") == [
        "hf_mtl/bad.py must have an `__all__`",
        "hf_mtl/worse.py must keep ['_g'] out of `__all__`",
    ]


def test_every_folder_is_a_package():
    assert folders_without_init(ROOT / "hf_mtl") == []


def test_a_folder_without_init_is_found(tmp_path):
    write(tmp_path / "hf_mtl" / "__init__.py", "")
    write(tmp_path / "hf_mtl" / "data" / "load.py", "")
    assert folders_without_init(tmp_path / "hf_mtl") == ["hf_mtl/data must have an `__init__.py`"]


def test_nothing_is_decided_by_the_name_of_a_class():
    assert comparisons_of_class_names(ROOT / "hf_mtl") == []


@pytest.mark.parametrize(
    "text",
    [
        "x.__class__.__name__ == 'MGDA'",
        "type(x).__name__ in {'MGDA', 'PCGrad'}",
        "'MGDA' != self.method.__class__.__qualname__",
        "match type(x).__name__:\n    case 'MGDA': ...",
    ],
)
def test_a_comparison_with_the_name_of_a_class_is_found(tmp_path, text):
    write(tmp_path / "hf_mtl" / "a.py", text)
    assert len(comparisons_of_class_names(tmp_path / "hf_mtl")) == 1


def test_the_name_of_a_class_may_stand_in_a_message(tmp_path):
    write(tmp_path / "hf_mtl" / "a.py", "f'got {type(x).__name__}' == other.__name__")
    assert comparisons_of_class_names(tmp_path / "hf_mtl") == []
