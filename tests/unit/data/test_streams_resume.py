# SPDX-License-Identifier: Apache-2.0
"""The position that travels with a batch: a run goes on from it as if it had not stopped."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from datasets import IterableDataset, concatenate_datasets, interleave_datasets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_streams import number_stream, numbers_at, numbers_of

from hf_mtl.data import SAMPLERS, SourceSize, StepPlan, StreamPositions, train_dataloader

# More workers than this machine has cores.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

SIZES = {"news": SourceSize(num_rows=600, batch_size=6, is_stream=True)}


def batches_of(collection, *, num_workers=0, world_size=1, rank=0, first_step=0, accumulation=1):
    plan = StepPlan(
        SIZES,
        tasks_per_step="all",
        world_size=world_size,
        rank=rank,
        accumulation=accumulation,
    )
    plan.set_epoch(0, first_step=first_step)
    loader = train_dataloader(collection, plan, num_workers=num_workers)
    return list(loader)[first_step * accumulation :]


def numbers_in(batches) -> list[list[int]]:
    return [
        numbers_of(forward["labels"]["score"].tolist())
        for batch in batches
        for forward in batch["forwards"]
    ]


def saved(batches) -> dict[str, Any]:
    """What a checkpoint has of the positions, once through JSON."""
    positions = StreamPositions()
    for batch in batches:
        positions.add(batch.get("positions", {}))
    return json.loads(json.dumps(positions.state_dict()))


def loaded(state) -> StreamPositions:
    positions = StreamPositions()
    positions.load_state_dict(state)
    return positions


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_the_number_of_workers_changes_nothing(stream_of, num_workers):
    rows = number_stream(90, 200, 130)
    expected = numbers_in(batches_of(stream_of(rows, shuffle_rows=20)))
    collection = stream_of(rows, shuffle_rows=20)
    assert numbers_in(batches_of(collection, num_workers=num_workers)) == expected


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("step", [1, 37, 88])
def test_a_run_goes_on_with_any_number_of_workers(stream_of, before, after, step):
    rows = number_stream(90, 200)
    given = {"shuffle_rows": 30}
    batches = batches_of(stream_of(rows, **given), num_workers=before)
    positions = loaded(saved(batches[:step]))
    resumed = stream_of(rows, positions=positions, **given)
    rest = batches_of(resumed, num_workers=after, first_step=step)
    assert numbers_in(rest) == numbers_in(batches[step:])


@given(
    num_rows=st.lists(st.integers(0, 150), min_size=1, max_size=5).filter(any),
    shuffle_rows=st.sampled_from([1, 3, 50, 64, 90, 1000]),
    step=st.integers(0, 99),
    ranks=st.integers(1, 3),
    ranks_after=st.integers(1, 3),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_run_goes_on_whatever_the_shards_and_ranks(
    stream_of, num_rows, shuffle_rows, step, ranks, ranks_after
):
    rows = number_stream(*num_rows)
    whole = numbers_at(stream_of(rows, shuffle_rows=shuffle_rows), range(600))
    runs = [
        batches_of(stream_of(rows, shuffle_rows=shuffle_rows), world_size=ranks, rank=rank)
        for rank in range(ranks)
    ]
    state = StreamPositions.merge(saved(run[:step]) for run in runs)
    for rank in range(ranks_after):
        resumed = stream_of(rows, shuffle_rows=shuffle_rows, positions=loaded(state))
        rest = batches_of(resumed, world_size=ranks_after, rank=rank, first_step=step)
        expected = [
            [whole[g] for g in range(start, start + 6) if g % ranks_after == rank]
            for start in range(6 * step, 600, 6)
        ]
        assert numbers_in(rest) == expected


ROWS_READ: list[int] = []


def counted_rows(shards: list[int]) -> Iterator[dict[str, Any]]:
    for shard in shards:
        for row in range(80):
            ROWS_READ.append(row)
            yield {"text": "red", "label": float(1000 * shard + row)}


@pytest.mark.parametrize("step", [30, 90])
def test_a_resumed_run_reads_no_more_however_far_it_was(stream_of, step):
    # Three passes over the rows in 90 steps: what came before the block is not read again.
    rows = IterableDataset.from_generator(counted_rows, gen_kwargs={"shards": [0, 1]})
    collection = stream_of(rows, shuffle_rows=16)
    positions = loaded(saved(batches_of(collection)[:step]))
    resumed = stream_of(rows, shuffle_rows=16, positions=positions)
    ROWS_READ.clear()
    numbers_at(resumed, range(6 * step, 6 * step + 6))
    assert 0 < len(ROWS_READ) <= 2 * 80


@pytest.mark.parametrize("draws", [3, 12])
def test_positions_that_go_back_inside_a_step_do_not_read_all_up_to_them_again(stream_of, draws):
    # Micro-batches of the first step: (0..3), (8..11) and so on, then (4..7), (12..15).
    plan = StepPlan(
        {"news": SourceSize(num_rows=3840, batch_size=8, is_stream=True)},
        sampler=SAMPLERS.build("proportional"),
        tasks_per_step=draws,
        accumulation=2,
    )
    rows = IterableDataset.from_generator(counted_rows, gen_kwargs={"shards": [0]})
    ROWS_READ.clear()
    numbers = numbers_in(train_dataloader(stream_of(rows, shuffle_rows=50), plan))
    # Where a micro-batch goes back to a block, no more than its pass of 80 rows is read anew.
    assert len(ROWS_READ) < 3 * 3840
    positions = [position for batch in plan for draw in batch for position in draw.rows]
    expected = numbers_at(stream_of(rows, shuffle_rows=50), range(3840))
    assert [number for forward in numbers for number in forward] == [
        expected[position] for position in positions
    ]


def test_blocks_of_a_draw_that_was_not_consumed_are_not_saved(stream_of):
    batches = batches_of(stream_of(number_stream(300), shuffle_rows=64))
    assert [i for i, batch in enumerate(batches) if "positions" in batch][:3] == [0, 10, 21]
    assert saved(batches[:10])["news"]["0"]["start"] == 0
    assert saved(batches[:11])["news"]["0"]["start"] == 64


def raised(row: dict[str, Any]) -> dict[str, Any]:
    return {"label": row["label"] + 500}


@pytest.mark.parametrize(
    "chain",
    [
        lambda rows: rows.map(lambda row: {"label": row["label"] + 0.0}),
        lambda rows: rows.map(lambda batch: batch, batched=True, batch_size=7),
        lambda rows: rows.filter(lambda row: row["label"] % 3 != 0),
        lambda rows: rows.skip(5).take(90),
        lambda rows: rows.repeat(2),
        lambda rows: interleave_datasets([rows, rows.map(raised)]),
        lambda rows: interleave_datasets([rows, rows.map(raised)], [0.3, 0.7], seed=3),
        lambda rows: concatenate_datasets([rows, rows]),
        lambda rows: rows.with_format("numpy"),
    ],
    ids=["map", "batched", "filter", "take", "repeat", "interleave", "weighted", "concat", "numpy"],
)
@pytest.mark.parametrize("step", [9, 40, 77])
def test_what_users_chain_goes_on_exactly(stream_of, chain, step):
    rows = chain(number_stream(120, 100))
    batches = batches_of(stream_of(rows, shuffle_rows=10))
    positions = loaded(saved(batches[:step]))
    resumed = stream_of(rows, shuffle_rows=10, positions=positions)
    assert numbers_in(batches_of(resumed, first_step=step)) == numbers_in(batches[step:])
