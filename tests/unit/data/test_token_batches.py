# SPDX-License-Identifier: Apache-2.0
"""Draws under a token budget against cuts that can be made by hand."""

import re
from collections import Counter
from itertools import chain

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image
from transformers import ViTImageProcessor

from hf_mtl.data import (
    SAMPLERS,
    SourceSize,
    StepPlan,
    TokenBatches,
    prepare,
    token_batches,
    tokens_of_batch,
)
from hf_mtl.tasks import TaskSpec, TaskSuite

LENGTHS = np.array([3, 8, 2, 5, 3, 2, 6, 3, 2, 4])
ONE_EACH = np.ones(10, dtype=np.int64)
MANY = np.random.default_rng(0).integers(4, 129, size=500)


def batches_of(lengths, tokens):
    return TokenBatches(lengths, np.ones(len(lengths), dtype=np.int64), tokens)


def plan_of(batches, num_rows, **settings):
    size = SourceSize(num_rows, int(batches.rows.max()), token_batches=batches)
    return StepPlan({"a": size}, sampler=SAMPLERS.build("proportional"), **settings)


def rows_of(plan):
    return [[row for draw in batch for row in draw.rows] for batch in plan]


def test_a_draw_holds_as_many_rows_as_fit_from_the_longest_on():
    # 8 | 6 5 (2 x 6) | 4 3 3 (3 x 4) | 3 2 2 2 (4 x 3)
    assert batches_of(LENGTHS, 12).rows.tolist() == [1, 2, 3, 4]


def test_a_row_of_several_sequences_counts_with_all_of_them():
    # 2 x 6 | 1 x 4 + 2 x 4 | 1 x 2
    batches = TokenBatches(np.array([4, 2, 6, 4]), np.array([1, 1, 2, 2]), tokens=12)
    assert batches.rows.tolist() == [1, 2, 1]


def test_every_pass_takes_each_row_once_and_keeps_to_the_budget():
    batches = batches_of(MANY, 1000)
    for seed in range(3):
        drawn = batches.shuffled(np.random.default_rng(seed))
        assert sorted(np.concatenate(drawn).tolist()) == list(range(500))
        assert all(len(rows) * MANY[rows].max() <= 1000 for rows in drawn)
        assert Counter(map(len, drawn)) == Counter(batches.rows.tolist())


def test_rows_meet_others_of_like_length_in_each_pass():
    batches = batches_of(MANY, 1000)
    first, second = (
        {frozenset(rows.tolist()) for rows in batches.shuffled(np.random.default_rng(seed))}
        for seed in (0, 1)
    )
    assert len(first & second) < len(first) / 2


def test_draws_fill_the_budget_with_little_padding():
    drawn = batches_of(MANY, 1000).shuffled(np.random.default_rng(0))
    padded = sum(len(rows) * MANY[rows].max() for rows in drawn)
    assert MANY.sum() / padded > 0.9


def test_within_a_draw_the_rows_are_not_in_the_order_of_their_lengths():
    """Else one of the micro-batches that a method compares would get the long rows."""
    (drawn,) = batches_of(np.arange(1, 101), 10_000).shuffled(np.random.default_rng(0))
    assert 30 < np.mean(drawn[:50]) < 70


def test_what_may_need_most_memory_is_found():
    # 8 alone, 3 x 4 that fill it, 5 of the shortest.
    batches = batches_of(np.array([8, 4, 4, 4, 2, 2, 2, 2, 2]), 12)
    assert [sorted(rows.tolist()) for rows in batches.largest()] == [
        [0],
        [1, 2, 3],
        [4, 5, 6, 7, 8],
    ]


def test_sizes_are_those_of_the_pass():
    size = SourceSize(10, 4, token_batches=batches_of(LENGTHS, 12))
    assert (size.num_batches, size.mean_batch_rows) == (4, 2.5)
    assert [size.draws_for(rows) for rows in (1, 5, 6, 10)] == [1, 2, 3, 4]
    assert [size.rows_in(draws) for draws in (2, 4, 6)] == [5, 10, 15]


def test_examples_come_at_the_rates_of_the_sampler():
    """Long rows make small draws, which are drawn more often for it."""
    sizes = {
        "long": SourceSize(400, 4, token_batches=batches_of(np.full(400, 100), 400)),
        "short": SourceSize(400, 40, token_batches=batches_of(np.full(400, 10), 400)),
    }
    plan = StepPlan(sizes, sampler=SAMPLERS.build("uniform"), max_steps=1)
    rows = Counter()
    for epoch in range(20):
        plan.set_epoch(epoch)
        rows.update({draw.source: 0 for batch in plan for draw in batch})
        for batch in plan:
            for draw in batch:
                rows[draw.source] += len(draw.rows)
    assert rows["long"] / rows.total() == pytest.approx(1 / 2, abs=0.03)


@pytest.mark.parametrize("sampler", ["proportional", "round_robin"])
def test_an_epoch_has_the_promised_steps_and_each_row_once(sampler):
    batches = batches_of(MANY, 1000)
    size = SourceSize(500, int(batches.rows.max()), token_batches=batches)
    plan = StepPlan({"a": size}, sampler=SAMPLERS.build(sampler))
    for epoch in range(3):
        plan.set_epoch(epoch)
        rows = rows_of(plan)
        assert len(rows) == plan.num_steps == len(batches)
        assert sorted(chain(*rows)) == list(range(500))


@pytest.mark.parametrize("keeps_micro_batches", [False, True])
def test_a_step_has_the_same_rows_on_any_number_of_ranks_and_micro_batches(keeps_micro_batches):
    batches = batches_of(MANY, 1200)
    whole = [sorted(rows) for rows in rows_of(plan_of(batches, 500, seed=3))]
    ranks = [
        plan_of(
            batches,
            500,
            seed=3,
            rank=rank,
            world_size=3,
            accumulation=2,
            keeps_micro_batches=keeps_micro_batches,
        )
        for rank in range(3)
    ]
    micro_batches = [
        [row for draw in batch if not draw.is_filler for row in draw.rows]
        for step in zip(*map(list, ranks), strict=True)
        for batch in step
    ]
    steps = [micro_batches[start : start + 6] for start in range(0, len(micro_batches), 6)]
    assert [sorted(chain(*step)) for step in steps] == whole
    for step in steps:
        # A share has at most the row more that does not divide evenly.
        longest = max(MANY[row] for part in step for row in part)
        assert max(map(len, step)) <= -(-(1200 // longest) // 6)


def test_a_plan_that_is_resumed_goes_on_with_the_same_draws():
    batches = batches_of(MANY, 1000)
    whole = rows_of(plan_of(batches, 500))
    resumed = plan_of(batches, 500)
    resumed.set_epoch(0, first_step=7)
    assert rows_of(resumed) == [[]] * 7 + whole[7:]


# From tasks and rows to draws

TEXTS = {"body": ["red fox", "red fox runs fast", "fox"], "group": ["a", "b", "a"]}


@pytest.fixture
def collection(tokenizer):
    def make(**fields):
        spec = TaskSpec(
            "text-classification",
            columns={"text": "body", "label": "group"},
            labels=("a", "b"),
            **fields,
        )
        return prepare(TaskSuite({"topic": spec}), {"topic": Dataset.from_dict(TEXTS)}, tokenizer)

    return make


def test_a_draw_has_the_tokens_of_all_ranks_and_micro_batches(collection):
    # Of 4, 6 and 3 tokens with those at both ends.
    (batches,) = token_batches(collection(), 6, num_slots=2).values()
    assert (batches.tokens, batches.rows.tolist()) == (12, [2, 1])


@pytest.mark.parametrize(
    ("fields", "tokens"), [({}, 64), ({"batch_tokens": 8}, 8), ({"batch_size": 2}, None)]
)
def test_what_a_task_says_comes_first(collection, fields, tokens):
    assert tokens_of_batch(collection(**fields), "topic", 64) == tokens


def test_a_budget_smaller_than_a_row_is_refused_with_its_place(collection):
    words = (
        "`batch_tokens` must be at least as large as every row, but got 5 and row 1 of source "
        "'topic' has 6 tokens. Raise it, or give a smaller `max_length` to its tasks: 'topic'."
    )
    with pytest.raises(ValueError, match=re.escape(words)):
        token_batches(collection(), 5)


def test_rows_of_unknown_length_are_refused_with_their_source(collection, tokenizer):
    pictures = Dataset.from_dict({"image": [Image.new("L", (2, 2))] * 2, "label": [0, 1]})
    suite = TaskSuite({"shade": TaskSpec("image-classification", labels=("a", "b"))})
    words = (
        "`batch_tokens` must be left out for rows whose length is not known before they are read, "
        "but got 64 and source 'shade' is encoded when it is read. Give `batch_size` to its "
        "tasks: 'shade'."
    )
    with pytest.raises(ValueError, match=re.escape(words)):
        token_batches(prepare(suite, {"shade": pictures}, ViTImageProcessor()), 64)


def test_a_stream_is_refused_unless_it_counts_rows(tokenizer):
    stream = Dataset.from_dict(TEXTS).to_iterable_dataset()
    spec = TaskSpec(
        "text-classification", columns={"text": "body", "label": "group"}, labels=("a", "b")
    )
    streamed = prepare(TaskSuite({"topic": spec}), {"topic": stream}, tokenizer)
    with pytest.raises(ValueError, match="but got 64 and source 'topic' is a stream"):
        token_batches(streamed, 64)
    counted = TaskSuite({"topic": spec.replace(batch_size=2)})
    assert token_batches(prepare(counted, {"topic": stream}, tokenizer), 64) == {}
