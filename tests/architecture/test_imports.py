# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: layers, one address for the fragile, late imports of the optional."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A part imports from parts with a lower number only, never from its equals.
LAYERS = {
    "_": 0,  # hf_mtl/_*.py
    "tasks": 1,
    "data": 2,
    "models": 2,
    "weighting": 2,
    "gradients": 2,
    "prompts": 3,
    "relations": 3,
    "evaluation": 3,
    "hub": 3,
    "training": 4,
    "": 5,  # hf_mtl/__init__.py, which names what Python users need
    "cli": 6,
}

# What of transformers may change without notice: names with an underscore, and these modules.
# The rest is documented: what `transformers` itself exports, its utils and trainer_utils, outputs.
TRANSFORMERS_INTERNALS = re.compile(
    r"transformers\.(modeling_utils|modeling_layers|masking_utils|models|core_model_loading"
    r"|conversion_mapping|dynamic_module_utils|pytorch_utils|integrations|trainer"
    r"|trainer_pt_utils|trainer_optimizer|trainer_jit_checkpoint)(\.|$)"
)
INTERNALS_ALLOWED_IN = {
    "models/backbone.py",
    "training/checkpoints/preemption.py",
    "training/resumable.py",
    "training/trainer.py",
}

# Each is touched in one module of one folder.
ONE_ADDRESS = {"peft": "prompts", "torchjd": "gradients"}

# Not installed by a plain `pip install hf_mtl`, or slow to import: inside functions only.
IMPORTED_LATE = {"PIL", "evaluate", "gradio", "matplotlib", "peft", "torchjd", "torchvision"}

MODULE_BY_DISTRIBUTION = {"scikit-learn": "sklearn", "pyyaml": "yaml", "pillow": "PIL"}
# What transformers and datasets are made of, and show in their interfaces.
COMES_ALONG = {"tokenizers", "pyarrow"}


@dataclass(frozen=True)
class Import:
    """One imported name: where it stands, and what it names."""

    file: str
    line: int
    module: str
    name: str | None
    is_late: bool

    def __str__(self) -> str:
        what = self.module if self.name is None else f"{self.name} from {self.module}"
        return f"{self.file}:{self.line} imports {what}"

    @property
    def root(self) -> str:
        return self.module.split(".")[0]


def python_files(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def imports(package: Path) -> Iterator[Import]:
    """Every import of every file below `package`, wherever in the file it stands."""
    for path in python_files(package):
        tree = ast.parse(path.read_text("utf-8"))
        late = {id(node) for node in late_nodes(tree)}
        for node in ast.walk(tree):
            where = (path.relative_to(package).as_posix(), getattr(node, "lineno", 0))
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(*where, alias.name, None, id(node) in late)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield Import(*where, node.module or "", alias.name, id(node) in late)


def late_nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Nodes that a plain import of the module does not run."""
    for node in ast.walk(tree):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if is_function or is_for_types:
            yield from ast.walk(node)


def part_of(parts: list[str]) -> str:
    """Key of LAYERS of the module `hf_mtl.<parts>`; empty for the package itself."""
    if not parts or parts[0] == "__init__":
        return ""
    return "_" if parts[0].startswith("_") else parts[0]


def upward_imports(package: Path) -> list[str]:
    """Imports that do not point down in LAYERS."""
    found = []
    for each in imports(package):
        if each.root != package.name or (each.module, each.name) == (package.name, "__version__"):
            continue
        importer = part_of(each.file.removesuffix(".py").split("/"))
        parts = [*each.module.split(".")[1:], *([each.name] if each.name else [])]
        # `from hf_mtl import tasks` names a part, `from hf_mtl import TaskSpec` goes over the top.
        imported = part_of(parts) if part_of(parts) in LAYERS else ""
        if importer != imported and LAYERS[imported] >= LAYERS.get(importer, 0):
            found.append(f"{each}: {importer} may not import {imported or 'what stands above it'}")
    return found


def unknown_parts(package: Path) -> list[str]:
    """Folders and modules of the package that have no place in LAYERS."""
    names = {
        path.relative_to(package).parts[0].removesuffix(".py") for path in python_files(package)
    }
    return sorted(name for name in names if part_of([name]) not in LAYERS)


def misplaced_internals(package: Path) -> list[str]:
    """Uses of the internals of transformers outside the modules that own them."""
    return [
        f"{each}, an internal of transformers: only {sorted(INTERNALS_ALLOWED_IN)} may"
        for each in imports(package)
        if each.root == "transformers"
        and each.file not in INTERNALS_ALLOWED_IN
        and (
            TRANSFORMERS_INTERNALS.match(f"{each.module}.{each.name or ''}")
            or any(part.startswith("_") for part in [*each.module.split("."), each.name or ""])
        )
    ]


def second_addresses(package: Path) -> list[str]:
    """Uses of a dependency of ONE_ADDRESS outside its folder, or in more than one module."""
    found = []
    for dependency, folder in ONE_ADDRESS.items():
        uses = [each for each in imports(package) if each.root == dependency]
        found += [
            f"{each}: only {folder}/ may" for each in uses if not each.file.startswith(f"{folder}/")
        ]
        if len(files := {each.file for each in uses}) > 1:
            found.append(f"{dependency} is imported in {sorted(files)}: one module may")
    return found


def early_imports(package: Path) -> list[str]:
    """Imports of IMPORTED_LATE that run when the module is imported."""
    return [
        f"{each} at its top: import it where it is used"
        for each in imports(package)
        if each.root in IMPORTED_LATE and not each.is_late
    ]


def undeclared_imports(package: Path, pyproject: Path) -> list[str]:
    """Imports of distributions that pyproject.toml does not name."""
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    declared = set()
    for requirement in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        name = re.match(r"[\w.-]+", requirement)[0].lower()
        declared.add(MODULE_BY_DISTRIBUTION.get(name, name))
    known = declared | COMES_ALONG | set(sys.stdlib_module_names) | {package.name}
    return [f"{each}, undeclared" for each in imports(package) if each.root not in known]


def plant(folder: Path, **text_by_module: str) -> Path:
    """Package `hf_mtl` below `folder` with these modules (`models__heads` is models/heads.py)."""
    package = folder / "hf_mtl"
    for module, text in text_by_module.items():
        path = package / f"{module.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def test_imports_point_down():
    assert upward_imports(ROOT / "hf_mtl") == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("tasks__spec", "from hf_mtl.data import load_source"),
        ("data__load", "from hf_mtl.models.heads import HEADS"),
        ("models__loss", "def f():\n    from hf_mtl import data"),
        ("evaluation__score", "import hf_mtl.hub.card"),
        ("_checks", "from hf_mtl.tasks import TaskSpec"),
        ("data__load", "from hf_mtl import MultiTaskModel"),
    ],
)
def test_an_import_that_points_up_or_sideways_is_found(tmp_path, module, text):
    assert len(upward_imports(plant(tmp_path, **{module: text}))) == 1


def test_imports_of_lower_parts_of_the_own_part_and_of_the_version_are_allowed(tmp_path):
    text = (
        "from hf_mtl import __version__, tasks\nimport hf_mtl._checks\n"
        "from hf_mtl.tasks import TaskSpec\nfrom hf_mtl.data.draw import Draw\n"
    )
    assert upward_imports(plant(tmp_path, data__load=text)) == []


def test_every_part_of_the_package_has_its_layer():
    assert unknown_parts(ROOT / "hf_mtl") == []


def test_a_part_without_a_layer_is_found(tmp_path):
    assert unknown_parts(plant(tmp_path, losses__focal="", _checks="", __init__="")) == ["losses"]


def test_internals_of_transformers_are_used_in_two_modules_only():
    assert misplaced_internals(ROOT / "hf_mtl") == []


@pytest.mark.parametrize(
    "text",
    [
        "from transformers.modeling_utils import PreTrainedModel",
        "from transformers import modeling_utils",
        "from transformers.trainer_pt_utils import nested_concat",
        "from transformers import _LazyModule",
        "import transformers.models.bert",
    ],
)
def test_an_internal_of_transformers_elsewhere_is_found(tmp_path, text):
    assert len(misplaced_internals(plant(tmp_path, data__load=text))) == 1
    assert misplaced_internals(plant(tmp_path / "allowed", models__backbone=text)) == []


def test_public_names_of_transformers_may_be_used_everywhere(tmp_path):
    text = (
        "from transformers import Trainer, modeling_outputs\nfrom transformers.utils import logging"
    )
    assert misplaced_internals(plant(tmp_path, data__load=text)) == []


def test_peft_and_torchjd_have_one_address_each():
    assert second_addresses(ROOT / "hf_mtl") == []


def test_a_second_address_is_found(tmp_path):
    package = plant(tmp_path, gradients__a="import torchjd", gradients__b="from torchjd import x")
    assert second_addresses(package) == [
        "torchjd is imported in ['gradients/a.py', 'gradients/b.py']: one module may"
    ]
    package = plant(tmp_path / "other", models__lora="import peft")
    assert second_addresses(package) == ["models/lora.py:1 imports peft: only prompts/ may"]


def test_optional_and_slow_dependencies_are_imported_where_they_are_used():
    assert early_imports(ROOT / "hf_mtl") == []


def test_an_optional_dependency_at_the_top_of_a_module_is_found(tmp_path):
    text = (
        "if TYPE_CHECKING:\n    import matplotlib\n\n"
        "def f():\n    import evaluate\n\n"
        "from PIL import Image"
    )
    assert early_imports(plant(tmp_path, hub__plot=text)) == [
        "hub/plot.py:7 imports Image from PIL at its top: import it where it is used"
    ]


def test_every_import_is_a_declared_dependency():
    assert undeclared_imports(ROOT / "hf_mtl", ROOT / "pyproject.toml") == []


def test_an_undeclared_dependency_is_found(tmp_path):
    package = plant(tmp_path, data__load="import json\nimport sklearn.metrics\nimport polars")
    assert undeclared_imports(package, ROOT / "pyproject.toml") == [
        "data/load.py:3 imports polars, undeclared"
    ]


def test_importing_the_package_imports_no_heavy_library():
    """A look at the version, or `hf-mtl --help`, costs no seconds."""
    heavy = "torch transformers datasets accelerate numpy scipy sklearn pandas evaluate matplotlib"
    code = f"import sys, hf_mtl; print(sorted(set({heavy.split()}) & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == "[]"
