# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint keeps of streams."""

import json

from hf_mtl.data import StreamPositions


def at(start, epoch=0):
    return {"epoch": epoch, "start": start}


def test_the_last_block_of_each_shard_is_kept():
    positions = StreamPositions()
    positions.add({"news": {"0": at(0), "1": at(0)}})
    positions.add({"news": {"1": at(64)}, "books": {"0": at(128)}})
    assert positions.of("news") == {"0": at(0), "1": at(64)}
    assert positions.of("books") == {"0": at(128)}
    assert positions.of("films") == {}


def test_another_worker_may_report_a_block_late():
    positions = StreamPositions()
    positions.add({"news": {"0": at(64)}})
    positions.add({"news": {"0": at(0)}})
    assert positions.of("news") == {"0": at(64)}


def test_a_new_epoch_begins_anew():
    positions = StreamPositions()
    positions.add({"news": {"0": at(640)}})
    positions.add({"news": {"0": at(0, epoch=1)}})
    assert positions.of("news") == {"0": at(0, epoch=1)}


def test_the_state_survives_json():
    positions, loaded = StreamPositions(), StreamPositions()
    positions.add({"news": {"0": at(64)}})
    loaded.load_state_dict(json.loads(json.dumps(positions.state_dict())))
    assert loaded.state_dict() == positions.state_dict() == {"news": {"0": at(64)}}


def test_ranks_together_know_of_every_shard():
    states = [{"news": {"0": at(64), "2": at(0)}}, {"news": {"1": at(64), "2": at(64)}}, {}]
    merged = StreamPositions.merge(states)
    assert merged == {"news": {"0": at(64), "1": at(64), "2": at(64)}}
