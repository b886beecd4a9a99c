# SPDX-License-Identifier: Apache-2.0
"""Modules of the `evaluate` package as metrics, from a folder, without a Hub."""

import sys

import pytest

from hf_mtl.evaluation import METRICS, check_metrics
from hf_mtl.tasks import TaskSpec, TaskSuite

MODULE = """
import datasets
import evaluate


class Rows(evaluate.Metric):
    def _info(self):
        column = {column}
        columns = {{"predictions": column, "references": column}}
        return evaluate.MetricInfo(
            description="", citation="", inputs_description="", features=datasets.Features(columns)
        )

    def _compute(self, predictions, references, scale=1.0):
        hits = sum(p == r for p, r in zip(predictions, references, strict=True))
        return {{"hits": scale * hits, "rows": len(references)}}
"""


@pytest.fixture
def module(tmp_path):
    """Writes a module that counts equal entries of columns of some type; returns its folder."""

    def write(column, name):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.py").write_text(MODULE.format(column=column))
        return str(folder)

    return write


def test_a_module_that_asks_for_rows_of_strings_gets_rows_of_label_names(module):
    path = module('datasets.Sequence(datasets.Value("string"))', "rows_of_names")
    metric = METRICS.build({"name": "evaluate", "path": path, "key": "hits"})
    assert metric.compute([[0, 1], [1]], [[0, 1], [0]], ("x", "y")) == 1.0
    assert metric.reported_name == "rows_of_names"


def test_a_module_that_asks_for_ids_gets_the_words_of_all_rows(module):
    path = module('datasets.Value("int64")', "ids")
    entry = {"name": "evaluate", "path": path, "key": "hits", "options": {"scale": 2.0}}
    assert METRICS.build(entry).compute([[0, 1], [1]], [[0, 1], [0]], ("x", "y")) == 2.0 * 2


def test_a_module_with_several_values_must_be_told_which_one(module):
    path = module('datasets.Value("int64")', "several")
    metric = METRICS.build({"name": "evaluate", "path": path})
    with pytest.raises(ValueError, match=r"`key` .* must be one of \['hits', 'rows'\].*got None"):
        metric.compute([0], [0])


def test_a_module_that_cannot_be_found_is_refused_before_training(tmp_path):
    metrics = ({"name": "evaluate", "path": str(tmp_path / "nowhere")},)
    suite = TaskSuite({"topic": TaskSpec("text-classification", metrics=metrics)})
    with pytest.raises(ValueError, match=r"'topic': `path` .* must be a module .* give a folder"):
        check_metrics(suite)


def test_a_path_that_is_no_name_is_refused():
    with pytest.raises(ValueError, match="must be the name or the folder of a module, but got ''"):
        METRICS.build({"name": "evaluate", "path": ""})


def test_two_modules_of_one_task_report_under_their_own_names(module):
    first, second = (module('datasets.Value("int64")', name) for name in ("one", "two"))
    metrics = tuple({"name": "evaluate", "path": path, "key": "hits"} for path in (first, second))
    check_metrics(TaskSuite({"topic": TaskSpec("text-classification", metrics=metrics)}))


def test_without_the_extra_the_error_holds_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "evaluate", None)
    with pytest.raises(ImportError, match=r"pip install 'hf-mtl\[evaluate\]'"):
        METRICS.build({"name": "evaluate", "path": "accuracy"})
