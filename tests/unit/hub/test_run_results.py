# SPDX-License-Identifier: Apache-2.0
"""The file beside a model that its card is written from."""

import json
import math
from dataclasses import replace

import pytest

from hf_mtl.hub import RESULTS_FILE, RunResults, library_versions, machine_description
from hf_mtl.tasks import TaskSpec, TaskSuite

ROW = {
    "task": "topic",
    "type": "text-classification",
    "source": "news",
    "num_rows": 4,
    "metric": "accuracy",
    "value": 0.5,
    "baseline": None,
    "greater_is_better": True,
}
RUN = RunResults(
    suite=TaskSuite({"topic": TaskSpec("text-classification", labels=("a", "b"), source="news")}),
    results=[ROW],
    backbone="owner/encoder",
    seed=3,
    settings={"training": {"max_steps": 150}},
)


def test_results_survive_the_way_to_a_file_and_back(tmp_path):
    assert RUN.save(tmp_path) == tmp_path / RESULTS_FILE
    assert RunResults.load(tmp_path) == RUN
    assert [path.name for path in tmp_path.iterdir()] == [RESULTS_FILE]


def test_a_metric_that_is_not_defined_is_null_in_the_file():
    run = replace(RUN, results=[{**ROW, "value": math.nan}])
    assert json.loads(run.to_json())["results"] == [{**ROW, "value": None}]


def test_a_setting_that_json_does_not_know_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(RUN, settings={"training": {"learning_rate": math.nan}}).to_json()


def test_a_row_that_misses_a_field_is_refused():
    with pytest.raises(ValueError, match=r"`results` must have .* but \['metric'\] are missing"):
        replace(RUN, results=[{name: ROW[name] for name in ROW if name != "metric"}])


def test_a_folder_without_results_says_what_writes_them(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must hold the results.json .* `hf-mtl train`"):
        RunResults.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "results.json must be JSON, but: Expecting"),
        ("[]", r"results.json must hold a mapping, but got \[\]"),
        ("{}", r"results.json must have \['backbone', 'results', 'seed', 'suite'\]"),
        (json.dumps({"sede": 1}), "Unknown field of results.json 'sede'. Did you mean 'seed'"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_in_words(text, words):
    with pytest.raises(ValueError, match=words):
        RunResults.from_json(text)


def test_the_machine_and_the_libraries_are_plain_words():
    for description in (machine_description(), library_versions()):
        assert description
        assert all(isinstance(value, str) and value for value in description.values())
