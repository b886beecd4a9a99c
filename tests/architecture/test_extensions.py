# SPDX-License-Identifier: Apache-2.0
"""A new head, sampler, metric, ... is one class in one new file, and one import line."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "hf_mtl"


def registered_classes(tree: ast.Module) -> list[str]:
    """Names of the classes under a decorator `@REGISTRY.register("name")`."""
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(decorator, ast.Call)
            and isinstance(decorator.func, ast.Attribute)
            and decorator.func.attr == "register"
            for decorator in node.decorator_list
        )
    ]


def imported_modules(init: Path) -> set[str]:
    """Absolute names of the modules that a file imports."""
    modules = set()
    for node in ast.walk(ast.parse(init.read_text("utf-8"))) if init.exists() else []:
        if isinstance(node, ast.ImportFrom):
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    return modules


def missing_lines(package: Path) -> list[str]:
    """Import lines without which a registered class would never be registered."""
    missing = []
    for path in sorted(package.rglob("*.py")):
        classes = registered_classes(ast.parse(path.read_text("utf-8")))
        if not classes or path.name == "__init__.py":
            continue
        init = path.with_name("__init__.py")
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        if module not in imported_modules(init):
            line = f"from {module} import {', '.join(classes)}"
            missing.append(f"Add to {init.relative_to(package.parent)}: {line}")
    return missing


def test_every_registered_class_is_imported_by_its_family():
    assert missing_lines(PACKAGE) == []


def test_a_missing_import_line_is_found_and_spelled_out(tmp_path):
    family = tmp_path / "hf_mtl" / "data" / "samplers"
    family.mkdir(parents=True)
    (family / "base.py").write_text("class TaskSampler: ...\n")
    for name in ("uniform", "curriculum"):
        (family / f"{name}.py").write_text(
            f'@SAMPLERS.register("{name}")\n@dataclass\nclass {name.title()}Sampler: ...\n'
        )
    (family / "__init__.py").write_text("from hf_mtl.data.samplers.uniform import UniformSampler\n")
    assert missing_lines(tmp_path / "hf_mtl") == [
        "Add to hf_mtl/data/samplers/__init__.py: "
        "from hf_mtl.data.samplers.curriculum import CurriculumSampler"
    ]


def test_a_family_without_any_init_file_is_found(tmp_path):
    (tmp_path / "hf_mtl").mkdir()
    (tmp_path / "hf_mtl" / "a.py").write_text('@REG.register("a")\nclass A: ...\n')
    assert len(missing_lines(tmp_path / "hf_mtl")) == 1
