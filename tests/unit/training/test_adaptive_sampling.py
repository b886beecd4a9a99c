# SPDX-License-Identifier: Apache-2.0
"""What a run tells its sampler, and what it refuses, where no training is needed to see it."""

import math

import pytest
import torch

from hf_mtl import MultiTaskTrainingArguments, TaskSpec, TaskSuite
from hf_mtl.data import SAMPLERS, OnlineMixingSampler, SourceSize, StepPlan, StopAndGoSampler
from hf_mtl.training.adaptive_checks import (
    check_adaptive_sampler,
    check_changes_in_time,
    check_sampler_evaluations,
    without_adapting,
)
from hf_mtl.training.adaptive_sampling import AdaptiveSampling
from hf_mtl.training.ranks import Ranks

SUITE = TaskSuite(
    {
        "topic": TaskSpec("text-classification", labels=("a", "b"), metrics=("accuracy",)),
        "score": TaskSpec("regression", metrics=("rmse",)),
        "kind": TaskSpec(
            "text-classification", labels=("a", "b"), metrics=("accuracy",), source="topic"
        ),
    }
)


class State:
    """As much of a trainer's state as callbacks look at."""

    eval_steps = 1

    def __init__(self, step=0):
        self.global_step = step
        self.max_steps = 1000


class Loader:
    """As much of a data loader."""

    def __init__(self, plan):
        self.batch_sampler = plan


def arguments(tmp_path, **given):
    return MultiTaskTrainingArguments(output_dir=str(tmp_path), use_cpu=True, **given)


def begun(tmp_path, sampler, *, ranks=None, state=None, **given):
    """A run that begins, or goes on from a state."""
    args = arguments(tmp_path, sampler=SAMPLERS.to_config(sampler), **given)
    sampling = AdaptiveSampling(lambda: SUITE, ranks or Ranks())
    sizes = {"topic": SourceSize(300, 2), "score": SourceSize(100, 2)}
    plan = StepPlan(sizes, sampler=sampler, settled=sampling.settled)
    if state is not None:
        sampling.load_state_dict(state)
    sampling.on_train_begin(args, State(), None, train_dataloader=Loader(plan))
    return sampling


def told_of_evaluation(sampling, **metrics):
    metrics = {f"eval_{name}": value for name, value in metrics.items()}
    sampling.on_evaluate(None, State(2), None, metrics=metrics)
    return [control["best"] for control in sampling.state_dict()["state"]["controls"]]


def test_a_source_of_several_tasks_is_judged_by_their_mean(tmp_path):
    sampling = begun(tmp_path, StopAndGoSampler(), eval_strategy="steps")
    best = told_of_evaluation(sampling, topic_accuracy=0.5, kind_accuracy=1.0, score_rmse=2.0)
    assert best == [0.75, -2.0]


def test_what_was_not_evaluated_or_is_not_defined_says_nothing(tmp_path):
    sampling = begun(tmp_path, StopAndGoSampler(), eval_strategy="steps")
    assert told_of_evaluation(sampling, topic_accuracy=math.nan, kind_accuracy=1.0) == [None, None]


def test_a_sampler_that_goes_by_training_hears_of_no_evaluation(tmp_path):
    sampling = begun(tmp_path, OnlineMixingSampler())
    sampling.on_evaluate(None, State(2), None, metrics={"eval_topic_loss": 1.0})
    assert sampling.state_dict()["state"] == {"rewards": [0.0, 0.0], "num_steps": 0}


def test_a_segment_is_the_mean_over_steps_and_tasks(tmp_path):
    sampling = begun(tmp_path, OnlineMixingSampler(update_every=3))
    for losses in ({"topic": 1.0, "kind": 2.0}, {"topic": 3.0}, {"score": 4.0}):
        sampling.add_step({task: torch.tensor(loss) for task, loss in losses.items()})
    sampling.on_step_end(None, State(3), None)
    # Two steps of mean 2 for each task of the first source, at a chance of three quarters.
    rewards = [2 * 0.2 / 0.75, 1 * 0.4 / 0.25]
    assert sampling.state_dict()["state"] == {"rewards": pytest.approx(rewards), "num_steps": 3}


def test_on_another_number_of_ranks_no_loss_is_counted_twice(tmp_path):
    sampling = begun(tmp_path, OnlineMixingSampler(update_every=3))
    sampling.add_step({"topic": torch.tensor(1.5), "score": torch.tensor(0.5)})
    state = sampling.state_dict()
    merged = sampling.merge([state, state])
    first = begun(tmp_path, OnlineMixingSampler(update_every=3), state=merged)
    (share,) = first.merge([first.state_dict()])["losses"]
    assert share["sums"] == {"topic": 3.0, "score": 1.0}
    second = AdaptiveSampling(lambda: SUITE, Ranks())
    second._ranks.rank = 1
    assert second._own_share(merged["losses"][:1] * 3)["sums"] == {"topic": 0.0, "score": 0.0}


def test_the_state_of_another_sampler_is_left_alone(tmp_path):
    state = begun(tmp_path, StopAndGoSampler(), eval_strategy="steps").state_dict()
    other = begun(tmp_path, OnlineMixingSampler(), state={**state, "losses": [state["losses"]]})
    assert other.state_dict()["state"] == {"rewards": [0.0, 0.0], "num_steps": 0}


def test_rates_that_cannot_be_are_refused(tmp_path, monkeypatch):
    sampling = begun(tmp_path, OnlineMixingSampler())
    monkeypatch.setattr(OnlineMixingSampler, "adapted_rates", lambda *args: [1.0, 0.0])
    with pytest.raises(ValueError, match=r"above 0 and together 1, but OnlineMixingSampler gave"):
        sampling.on_step_begin(None, State(), None)


@pytest.mark.parametrize("name", ["stop_and_go", "dst"])
def test_a_sampler_that_goes_by_evaluations_needs_them(tmp_path, name):
    with pytest.raises(ValueError, match=f"must be 'steps' or 'epoch' with '{name}', a sampler"):
        check_adaptive_sampler(arguments(tmp_path, sampler=name))
    args = arguments(tmp_path, sampler=name, eval_strategy="epoch", save_strategy="epoch")
    check_adaptive_sampler(args)
    with pytest.raises(ValueError, match=rf"with '{name}', a sampler .* none for \['score'\]"):
        check_sampler_evaluations(args, SUITE, SUITE.subset(["kind"]))
    with pytest.raises(ValueError, match=r"none for \['topic', 'score'\]"):
        check_sampler_evaluations(args, SUITE, None)
    check_sampler_evaluations(args, SUITE, SUITE.subset(["kind", "score"]))


@pytest.mark.parametrize(
    ("workers", "factor", "accumulation", "least"),
    [(0, None, 1, 2), (2, None, 1, 6), (2, 4, 1, 10), (2, 4, 4, 4), (1, 1, 8, 2)],
)
def test_a_segment_is_longer_than_what_is_read_ahead(
    tmp_path, workers, factor, accumulation, least
):
    loading = {"dataloader_num_workers": workers, "dataloader_prefetch_factor": factor}
    for update_every in (least, least - 1):
        args = arguments(
            tmp_path,
            sampler={"name": "online_mixing", "update_every": update_every},
            gradient_accumulation_steps=accumulation,
            **loading,
        )
        if update_every == least:
            check_adaptive_sampler(args)
            continue
        with pytest.raises(ValueError, match=f"must be {least} or more, because the next"):
            check_adaptive_sampler(args)


def test_rates_have_to_be_able_to_change_before_the_run_ends():
    sampler = SAMPLERS.build({"name": "learning_progress", "window": 3, "update_every": 10})
    check_changes_in_time(sampler, 41)
    with pytest.raises(ValueError, match="they stay for the first 40 of 40 steps"):
        check_changes_in_time(sampler, 40)


def test_evaluations_have_to_come_before_the_run_ends():
    sampler = SAMPLERS.build({"name": "stop_and_go", "patience": 2, "update_every": 4})
    check_changes_in_time(sampler, 17, 4)  # three evaluations, and a segment that is settled
    with pytest.raises(ValueError, match="they stay for the first 16 of 16 steps"):
        check_changes_in_time(sampler, 16, 4)
    check_changes_in_time(sampler, 13, 4, first_is_given=True)


def test_a_checkpoint_that_would_lack_an_evaluation_is_refused(tmp_path):
    given = {"sampler": {"name": "stop_and_go", "update_every": 4}, "eval_strategy": "epoch"}
    check_adaptive_sampler(arguments(tmp_path, **given, save_strategy="epoch"))
    with pytest.raises(ValueError, match="`save_strategy` must be 'epoch' or 'no' with `eval_str"):
        check_adaptive_sampler(arguments(tmp_path, **given, save_strategy="steps"))


def test_a_short_run_keeps_to_the_base():
    assert without_adapting({"name": "online_mixing", "base": "sqrt"}) == "sqrt"
    assert without_adapting("round_robin") == "round_robin"
