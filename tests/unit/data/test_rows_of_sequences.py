# SPDX-License-Identifier: Apache-2.0
"""Rows that are several sequences: batched, measured, stored and streamed."""

import pytest
import torch
from datasets import Dataset, IterableDataset

from hf_mtl.data import Collate, Draw, check_lengths, prepare, row_lengths, row_sizes
from hf_mtl.data.columns import check_columns
from hf_mtl.data.prepared_index import load_prepared, save_prepared
from hf_mtl.tasks import ROW_OF_SEQUENCE, TaskSpec, TaskSuite

SUITE = TaskSuite(
    {
        "score": TaskSpec("regression"),
        "ending": TaskSpec("multiple-choice"),
        "better": TaskSpec("pairwise-ranking"),
    }
)
ROWS = {
    "score": Dataset.from_dict({"text": ["red", "fox"], "label": [0.5, 1.0]}),
    # Of 5, 6 and 5 tokens, and of 6 and 9.
    "ending": Dataset.from_dict(
        {
            "text": ["fox", "red fox"],
            "choices": [["runs", "runs fast", "."], ["red", "red red red ."]],
            "label": ["runs fast", None],
        }
    ),
    "better": Dataset.from_dict({"chosen": ["fox"], "rejected": ["red fox ."]}),
}


@pytest.fixture
def collection(tokenizer):
    return prepare(SUITE, ROWS, tokenizer)


def forwards(collection, *draws, merged):
    collate = Collate(SUITE, collection.processing_class, merged=merged)
    return collate([collection[draw] for draw in draws])["forwards"]


DRAWS = Draw("ending", (1, 0)), Draw("score", (0,)), Draw("better", (0,)), Draw("ending", (1,))


def test_the_sequences_of_a_row_follow_each_other(collection):
    (forward,) = forwards(collection, DRAWS[0], merged=False)
    lengths = forward["inputs"]["attention_mask"].sum(dim=1)
    assert lengths.tolist() == [6, 9, 5, 6, 5]
    assert forward["inputs"][ROW_OF_SEQUENCE].tolist() == [0, 0, 1, 1, 1]
    assert forward["labels"]["ending"].tolist() == [-100, 1]
    assert forward["rows"] is None


def test_a_merged_batch_holds_texts_choices_and_pairs(collection):
    (forward,) = forwards(collection, *DRAWS, merged=True)
    assert forward["inputs"][ROW_OF_SEQUENCE].tolist() == [0, 0, 1, 1, 1, 2, 3, 3, 4, 4]
    assert {task: rows.tolist() for task, rows in forward["rows"].items()} == {
        "score": [5],
        "ending": [0, 1, 2, 3, 4, 8, 9],
        "better": [6, 7],
    }
    assert forward["labels"]["ending"].tolist() == [-100, 1, -100]
    assert forward["labels"]["better"].tolist() == [0]


def test_batches_of_single_texts_are_as_they_were(collection):
    (forward,) = forwards(collection, DRAWS[1], merged=True)
    assert ROW_OF_SEQUENCE not in forward["inputs"]


def test_a_filler_has_no_label(collection):
    (forward,) = forwards(collection, Draw("better", (0,), is_filler=True), merged=False)
    assert forward["labels"]["better"].tolist() == [-100]


def test_the_length_of_a_row_is_that_of_its_longest_sequence(collection):
    source = collection.sources["ending"]
    assert row_lengths(source).to_pylist() == [6, 9]
    assert row_sizes(source).to_pylist() == [3 * 6, 2 * 9]
    assert row_sizes(collection.sources["score"]).to_pylist() == [3, 3]
    check_lengths(collection, 9)
    message = "at most 8 tokens.* row 1 of source 'ending' has 9"
    with pytest.raises(ValueError, match=message):
        check_lengths(collection, 8)


def test_prepared_rows_come_back_from_a_folder(collection, tokenizer, tmp_path):
    save_prepared({"train": collection}, tmp_path / "rows")
    loaded = load_prepared(tmp_path / "rows", SUITE, tokenizer)["train"]
    assert row_sizes(loaded.sources["ending"]).to_pylist() == [18, 18]
    for draw in DRAWS:
        assert loaded[draw] == collection[draw]


def test_choices_may_lie_in_several_columns(tokenizer):
    columns = {"choices": ["first", "second"]}
    suite = TaskSuite({"ending": TaskSpec("multiple-choice", columns=columns)})
    rows = {"text": ["fox"], "first": ["runs"], "second": ["red fox"], "label": [1]}
    found = prepare(suite, {"ending": Dataset.from_dict(rows)}, tokenizer)[Draw("ending", (0,))]
    one = Dataset.from_dict({"text": ["fox"], "choices": [["runs", "red fox"]], "label": [1]})
    suite = TaskSuite({"ending": TaskSpec("multiple-choice")})
    assert prepare(suite, {"ending": one}, tokenizer)[Draw("ending", (0,))] == found


def test_a_column_of_choices_that_is_not_there_is_named(tokenizer):
    columns = {"choices": ["first", "secnd"]}
    suite = TaskSuite({"ending": TaskSpec("multiple-choice", columns=columns)})
    rows = Dataset.from_dict({"text": ["a"], "first": ["b"], "second": ["c"], "label": [0]})
    with pytest.raises(KeyError, match=r"'choices' must be a column.*'secnd'.*mean 'second'"):
        prepare(suite, {"ending": rows}, tokenizer)


def test_a_label_beyond_the_choices_of_its_row_is_named(tokenizer):
    rows = Dataset.from_dict({"text": ["a"] * 2, "choices": [["b", "c"]] * 2, "label": [1, 2]})
    suite = SUITE.subset(["ending"])
    with pytest.raises(ValueError, match=r"'ending' must be a choice of its row.* row 1 has 2"):
        prepare(suite, {"ending": rows}, tokenizer)


def test_a_preference_may_be_given_and_missing(tokenizer):
    spec = TaskSpec("pairwise-ranking", columns={"label": "winner", "text": "question"})
    rows = {"question": ["fox"] * 3, "chosen": ["red"] * 3, "rejected": ["fast"] * 3}
    dataset = Dataset.from_dict(rows | {"winner": ["rejected", None, "chosen"]})
    found = prepare(TaskSuite({"better": spec}), {"better": dataset}, tokenizer)
    assert found.labels("better") == [1, -100, 0]


@pytest.mark.parametrize("source", ["ending", "better"])
def test_a_stream_gives_the_same_rows(collection, tokenizer, source):
    stream = IterableDataset.from_generator(lambda: iter(ROWS[source]))
    suite = SUITE.subset([source])
    streamed = prepare(suite, {source: stream}, tokenizer)
    draw = Draw(source, (0,))
    found = streamed[draw]
    assert (found.features, found.labels) == (collection[draw].features, collection[draw].labels)
    check_lengths(streamed, 4)
    with pytest.raises(ValueError, match="at most 4 tokens"):
        streamed[draw]


def test_tokens_of_a_row_are_those_of_its_sequences(collection):
    (forward,) = forwards(collection, Draw("better", (0,)), merged=False)
    expected = [[2, 5, 3, 0, 0], [2, 4, 5, 9, 3]]
    assert torch.equal(forward["inputs"]["input_ids"], torch.tensor(expected))


def test_a_column_that_may_be_the_label_of_a_ranking_has_to_be_named():
    """Without a word, every row would be read as if `chosen` were the better text."""
    columns = ["chosen", "rejected", "label"]
    with pytest.raises(ValueError, match="`columns` of task 'better' must say whether the column"):
        check_columns({"better": TaskSpec("pairwise-ranking")}, columns)
    named = TaskSpec("pairwise-ranking", columns={"label": "label"})
    check_columns({"better": named}, columns)
