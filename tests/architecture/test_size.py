# SPDX-License-Identifier: Apache-2.0
"""Files and functions stay small enough to be read in one go."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
FOLDERS = ("hf_mtl", "tests", "recipes", "benchmarks")

LONGEST_FILE = 400
MEDIAN_FILE = 100
LONGEST_FUNCTION = 60
MOST_FUNCTIONS = 25  # nine in ten are at most this long


def python_files(root: Path) -> list[Path]:
    """Python files of the folders that are ours."""
    return sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py"))


def long_files(root: Path) -> list[str]:
    """Files over LONGEST_FILE lines."""
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in python_files(root)}
    return [
        f"{path.relative_to(root)} has {length} lines; split it by purpose ({LONGEST_FILE} at most)"
        for path, length in lengths.items()
        if length > LONGEST_FILE
    ]


def median_length(package: Path) -> float:
    """Median number of lines of the package's files."""
    return median(len(path.read_text("utf-8").splitlines()) for path in package.rglob("*.py"))


def function_lengths(root: Path) -> Iterator[tuple[str, int]]:
    """Every function with its lines, those of its docstring not counted."""
    for path in python_files(root):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = node.end_lineno - node.lineno + 1
                if ast.get_docstring(node) is not None:
                    length -= node.body[0].end_lineno - node.body[0].lineno + 1
                yield f"{path.relative_to(root)}:{node.lineno} {node.name}", length


def long_functions(root: Path) -> list[str]:
    """Functions over LONGEST_FUNCTION lines."""
    return [
        f"{name} has {length} lines; {LONGEST_FUNCTION} at most"
        for name, length in function_lengths(root)
        if length > LONGEST_FUNCTION
    ]


def share_of_short_functions(root: Path) -> float:
    """Share of the functions that have at most MOST_FUNCTIONS lines."""
    lengths = [length for _, length in function_lengths(root)]
    return sum(length <= MOST_FUNCTIONS for length in lengths) / len(lengths)


def write_function(path: Path, num_lines: int, docstring: str = "") -> None:
    """Writes one function of that many lines, its docstring not counted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = [f'    """{docstring}"""'] if docstring else []
    path.write_text("\n".join(["def f():", *body, *["    pass"] * (num_lines - 1), ""]))


def test_no_file_is_long():
    assert long_files(ROOT) == []


def test_a_long_file_is_found(tmp_path):
    write_function(tmp_path / "hf_mtl" / "short.py", LONGEST_FILE)
    write_function(tmp_path / "tests" / "long.py", LONGEST_FILE + 1)
    assert long_files(tmp_path) == [
        "tests/long.py has 401 lines; split it by purpose (400 at most)"
    ]


def test_the_median_file_is_short():
    assert median_length(ROOT / "hf_mtl") <= MEDIAN_FILE


def test_the_median_is_that_of_the_lines(tmp_path):
    for name, num_lines in (("a", 10), ("b", 120), ("c", 130)):
        write_function(tmp_path / "hf_mtl" / f"{name}.py", num_lines)
    assert median_length(tmp_path / "hf_mtl") == 120


def test_no_function_is_long():
    assert long_functions(ROOT) == []


def test_a_long_function_is_found_and_its_docstring_is_not_counted(tmp_path):
    write_function(tmp_path / "hf_mtl" / "a.py", LONGEST_FUNCTION, docstring="One.\n\n    Two.")
    write_function(tmp_path / "hf_mtl" / "b.py", LONGEST_FUNCTION + 1)
    assert long_functions(tmp_path) == ["hf_mtl/b.py:1 f has 61 lines; 60 at most"]


def test_nine_functions_in_ten_are_short():
    assert share_of_short_functions(ROOT) >= 0.9


def test_the_share_of_short_functions_counts_functions(tmp_path):
    for name, num_lines in (("a", 25), ("b", 26), ("c", 2), ("d", 3)):
        write_function(tmp_path / "hf_mtl" / f"{name}.py", num_lines)
    assert share_of_short_functions(tmp_path) == 3 / 4
