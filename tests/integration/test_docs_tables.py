# SPDX-License-Identifier: Apache-2.0
"""Tables in the documentation are those that the classes declare."""

from dataclasses import dataclass
from typing import ClassVar

import gradient_table
import pytest
from weighting_table import DOCUMENT, MARKED, table_row, weighting_table, with_table

from hf_mtl.gradients import GRADIENT_METHODS, NashMTL
from hf_mtl.weighting import WEIGHTINGS, Weighting

MARKS = ("<!-- weightings: generated -->\n\n", "\n<!-- end -->\n")


def test_the_table_of_weightings_is_up_to_date():
    text = DOCUMENT.read_text("utf-8")
    assert MARKED.search(text)
    assert with_table(text) == text, "Run `python tests/support/weighting_table.py`."


def test_every_weighting_has_a_row():
    rows = weighting_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == sorted(
        name for name in WEIGHTINGS.names() if WEIGHTINGS.get(name).__module__.startswith("hf_mtl.")
    )


def test_a_stale_table_is_replaced_and_the_rest_is_left():
    before = f"# Title\n\n{MARKS[0]}| old |\n{MARKS[1]}\nText.\n"
    after = f"# Title\n\n{MARKS[0]}{weighting_table()}{MARKS[1]}\nText.\n"
    assert with_table(before) == after
    assert with_table(after) == after


def test_a_row_says_what_a_class_declares():
    assert table_row("uncertainty", WEIGHTINGS.get("uncertainty")) == (
        "| `uncertainty` | Learns a variance of each task, and weights its loss by the inverse. "
        "| - | `parameter`, `first_moment`, `second_moment`, `num_updates` | - "
        "| [link](https://arxiv.org/abs/1705.07115) |"
    )


def test_a_law_that_is_broken_comes_with_its_reason():
    class Contrary(Weighting):
        """Weights at will.

        Source:
            https://example.org/contrary.
        """

        needs_losses: ClassVar[bool] = True
        breaks: ClassVar[dict[str, str]] = {"equal_losses_equal_weights": "it draws"}

    assert table_row("static", Contrary) == (
        "| `static` | Weights at will. | losses of the step | - "
        "| equal losses equal weights: it draws | [link](https://example.org/contrary) |"
    )


def test_a_weighting_without_a_source_is_found():
    @dataclass(frozen=True)
    class Nowhere:
        """Weights at will."""

    with pytest.raises(
        ValueError, match=r"The docstring of 'nowhere' must have a `Source`, but got"
    ):
        table_row("nowhere", Nowhere)


def test_the_table_of_gradient_methods_is_up_to_date():
    text = gradient_table.DOCUMENT.read_text("utf-8")
    assert gradient_table.MARKED.search(text)
    stale = "Run `python tests/support/gradient_table.py`."
    assert gradient_table.with_table(text) == text, stale


def test_every_gradient_method_has_a_row():
    rows = gradient_table.gradient_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == sorted(
        name
        for name in GRADIENT_METHODS.names()
        if GRADIENT_METHODS.get(name).__module__.startswith("hf_mtl.")
    )


def test_a_row_says_what_a_gradient_method_declares():
    assert gradient_table.table_row("nash_mtl", NashMTL()) == (
        "| `nash_mtl` | Follows the direction with the largest product of the tasks' progress "
        "(Nash bargaining). | - | inner products | - | yes | yes | in the method | - "
        "| [link](https://arxiv.org/abs/2202.01017) |"
    )
