# SPDX-License-Identifier: Apache-2.0
"""The order of a stream, worked out by hand."""

from collections import Counter

import pytest
from toy_streams import number_stream, numbers_at

from hf_mtl.data import Draw
from hf_mtl.data.streams import StreamOrder


def test_positions_go_round_the_shards_and_rows_come_pass_after_pass(stream_of):
    order = StreamOrder("news", seed=0, epoch=0, num_shards=2, shuffle_rows=1)
    first, second = (order.place(turn)[0] for turn in range(2))
    found = numbers_at(stream_of(number_stream(2, 3)), range(12))
    sequence = {0: [0, 1, 0, 1, 0, 1], 1: [1000, 1001, 1002, 1000, 1001, 1002]}
    assert found[0::2] == sequence[first]
    assert found[1::2] == sequence[second]
    assert {first, second} == {0, 1}


def test_neighbours_are_shuffled_in_groups(stream_of):
    found = numbers_at(stream_of(number_stream(5), shuffle_rows=2), range(10))
    for one_pass in (found[:5], found[5:]):
        assert [set(one_pass[:2]), set(one_pass[2:4]), set(one_pass[4:])] == [{0, 1}, {2, 3}, {4}]


@pytest.mark.parametrize("shuffle_rows", [1, 7, 64, 100, 1000])
def test_each_row_of_a_shard_comes_once_in_each_of_its_passes(stream_of, shuffle_rows):
    found = numbers_at(stream_of(number_stream(150, 40), shuffle_rows=shuffle_rows), range(600))
    long = [row for row in found if row < 1000]
    short = [row for row in found if row >= 1000]
    assert Counter(long) == dict.fromkeys(range(150), 2)
    assert Counter(short[:280]) == dict.fromkeys(range(1000, 1040), 7)


def test_seed_epoch_and_pass_change_the_order(stream_of):
    collection = stream_of(number_stream(100), shuffle_rows=100)
    first = numbers_at(collection, range(100))
    assert sorted(first) == list(range(100))
    assert numbers_at(collection, range(100, 200)) != first
    assert numbers_at(collection, range(100), epoch=1) != first
    assert numbers_at(collection, range(100), epoch=0) == first
    other = stream_of(number_stream(100), seed=1, shuffle_rows=100)
    assert numbers_at(other, range(100)) != first


def test_rows_of_a_draw_come_as_they_are_asked_for_and_again_if_need_be(stream_of):
    collection = stream_of(number_stream(300))
    assert numbers_at(collection, [200, 3, 100]) == [200, 3, 100]
    assert numbers_at(collection, [0, 1, 2]) == [0, 1, 2]


def test_a_shard_without_rows_is_stood_in_for_by_the_next_one(stream_of, caplog):
    collection = stream_of(number_stream(0, 3, 2, 0), shuffle_rows=1)
    counts = Counter(numbers_at(collection, range(4 * 6)))
    assert counts == {1000: 2 + 2 + 2, 1001: 6, 1002: 6, 2000: 3, 2001: 3}
    assert sorted(caplog.messages) == [
        f"There is no row in shard {shard} of 4 of source 'news': those of shard 1 come in its "
        f"turns as well."
        for shard in (0, 3)
    ]


def test_a_filler_takes_any_row_without_its_label_and_moves_nothing(stream_of):
    collection = stream_of(number_stream(200), shuffle_rows=50)
    filler = collection[Draw("news", (170,), is_filler=True)]
    assert str(filler.labels["score"]) == "[nan]"
    plain = numbers_at(stream_of(number_stream(200), shuffle_rows=50), range(90))
    assert numbers_at(collection, range(60)) == plain[:60]
    collection[Draw("news", (0,), is_filler=True)]
    assert numbers_at(collection, range(60, 90)) == plain[60:]


@pytest.mark.parametrize("num_shards", [1, 2, 3, 6])
@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_the_order_of_one(stream_of, num_shards, world_size):
    rows = number_stream(*range(20, 20 + num_shards))
    positions = range(240)
    whole = numbers_at(stream_of(rows, shuffle_rows=8), positions)
    parts = [
        numbers_at(stream_of(rows, shuffle_rows=8), positions[rank::world_size])
        for rank in range(world_size)
    ]
    assert [parts[g % world_size][g // world_size] for g in positions] == whole


def test_a_rank_opens_the_shards_it_needs_and_no_others(stream_of):
    collection = stream_of(number_stream(*[50] * 6))
    numbers_at(collection, range(1, 240, 3))
    begun = collection[Draw("news", tuple(range(241, 1200, 3)))].positions
    assert len(begun) == 2
