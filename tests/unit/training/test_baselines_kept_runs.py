# SPDX-License-Identifier: Apache-2.0
"""Finished runs in files, and the comparison that is made of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from hf_mtl.evaluation import ResultRow
from hf_mtl.tasks import TaskSpec, TaskSuite
from hf_mtl.training.baselines import Baselines
from hf_mtl.training.baselines.comparison import compare
from hf_mtl.training.baselines.kept_runs import KeptRun, check_cache, finite_rows
from hf_mtl.training.baselines.report import sentences

SUITE = TaskSuite(
    {task: TaskSpec("regression", metrics=("pearson", "rmse")) for task in ("mark", "grade")}
)


def kept(task, seed, **scores):
    rows = [
        ResultRow(name, "regression", name, 4, metric, value, 0.25)
        for name, first in scores.items()
        for metric, value in (("pearson", first), ("rmse", 9.0))
    ]
    return KeptRun(task, seed, 10, 1.5, finite_rows(rows), {"torch": "2"})


def runs(mark, grade, mark_together, grade_together):
    found = []
    for seed, (a, b, c, d) in enumerate(
        zip(mark, grade, mark_together, grade_together, strict=True)
    ):
        found.append(kept(None, seed, mark=c, grade=d))
        found += [kept("mark", seed, mark=a), kept("grade", seed, grade=b)]
    return found


def baselines(found, **given):
    gains, delta_m = compare(SUITE, found)
    return Baselines(
        seeds=tuple(dict.fromkeys(run.seed for run in found)),
        gains=gains,
        delta_m=delta_m,
        steps={"mark": 1200, "grade": 10},
        steps_together=1200,
        differs=(),
        num_trained=0,
        cache=Path("cache"),
        **given,
    )


def test_a_kept_run_comes_back_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "new" / "run.json"
    run = kept("mark", 3, mark=0.5)
    run.save(path)
    assert KeptRun.load(path) == run
    assert [each.name for each in path.parent.iterdir()] == ["run.json"]


@pytest.mark.parametrize("text", ["", "[]", '{"task": null}', '{"task"'])
def test_a_file_that_is_no_run_is_said(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"must be what `hf-mtl baselines` has written.*Remove"):
        KeptRun.load(path)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    check_cache(tmp_path)
    check_cache(tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"`cache` must be a folder, but '.*file' is a file"):
        check_cache(tmp_path / "file")


def test_scores_are_those_of_the_first_metric_and_infinite_ones_are_undefined():
    run = kept(None, 0, mark=0.5, grade=float("inf"))
    assert run.first_scores() == {"mark": 0.5, "grade": None}
    assert run.constant_scores() == {"mark": 0.25, "grade": 0.25}


def test_tasks_that_lose_are_named_the_worst_first():
    found = baselines(runs([0.8, 0.9], [0.5, 0.5], [0.7, 0.8], [0.2, 0.2]))
    assert [gain.task for gain in found.hurt] == ["grade", "mark"]
    assert found.to_dict()["hurt"] == ["grade", "mark"]
    steps, settings, delta_m, hurt, scores = sentences(found)
    assert steps == "Steps: 1,200 together; alone mark 1,200, grade 10."
    assert settings.endswith("with one draw of its source a step.")
    assert delta_m.startswith("Delta_m, the mean relative gain over the tasks: -35.9")
    assert hurt == (
        "Negative transfer beyond the noise: grade (pearson -0.3000 ± 0.0000); mark (pearson "
        "-0.1000 ± 0.0000)."
    )
    assert scores.endswith("training: {baseline_scores: {mark: 0.85, grade: 0.5}}")


def test_what_the_recipe_says_and_a_task_alone_does_not_do_is_told():
    found = replace(baselines(runs([0.8], [0.5], [0.7], [0.2])), differs=("no `sampler`",))
    assert sentences(found)[1].endswith("with one draw of its source a step; no `sampler`.")


def test_of_one_seed_nothing_is_called_noise():
    found = baselines(runs([0.8], [0.5], [0.7], [0.2]))
    assert "With one seed there is no spread" in sentences(found)[3]
    assert found.hurt == []


def test_scores_that_are_undefined_or_0_are_said_and_are_no_baseline():
    found = baselines(runs([0.0, 0.0], [0.5, None], [0.1, 0.1], [0.2, 0.2]))
    assert found.baseline_scores == {}
    _, _, delta_m, hurt, unknown = sentences(found)
    assert delta_m.startswith("Delta_m is not defined")
    assert hurt == "Negative transfer beyond the noise: none was seen."
    assert unknown == "Nothing is said of grade: the metric is not defined in every run."
