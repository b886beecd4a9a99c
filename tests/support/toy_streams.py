# SPDX-License-Identifier: Apache-2.0
"""Streams whose rows can be told apart, and how they are read."""

from collections.abc import Iterator, Sequence
from typing import Any

import toy_runs
from datasets import Dataset, IterableDataset
from transformers import BertModel, set_seed

from hf_mtl import MultiTaskModel, MultiTaskTrainer, MultiTaskTrainingArguments, TaskSuite
from hf_mtl.data import Draw, SourceCollection, prepare

__all__ = ["number_stream", "numbers_at", "numbers_of", "streamed_run", "streaming_trainer"]

SUITE = TaskSuite(
    {
        "topic": toy_runs.SUITE["topic"].replace(labels=("book", "film")),
        "valence": toy_runs.SUITE["valence"],
    }
)


def _rows(shards: Sequence[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    for shard, num_rows in shards:
        for row in range(num_rows):
            yield {"text": "red fox" + " runs" * (row % 5), "label": float(1000 * shard + row)}


def number_stream(*num_rows: int) -> IterableDataset:
    """A stream with a shard for each number of rows; the label of row 3 of shard 2 is 2003."""
    return IterableDataset.from_generator(_rows, gen_kwargs={"shards": list(enumerate(num_rows))})


def numbers_of(labels: Sequence[float]) -> list[int]:
    """Labels as the whole numbers that they are."""
    return [int(label) for label in labels]


def numbers_at(
    collection: SourceCollection, positions: Sequence[int], *, epoch: int = 0, at_once: int = 3
) -> list[int]:
    """Rows of the source ``news`` at some positions, read in draws of a few."""
    found = []
    for start in range(0, len(positions), at_once):
        draw = Draw("news", tuple(positions[start : start + at_once]), epoch)
        found += numbers_of(collection[draw].labels["score"])
    return found


def streaming_trainer(
    output_dir: str,
    *,
    num_shards: int = 3,
    num_rows: int = 48,
    dropout: float = 0.1,
    rows_of_epoch: int | None = None,
    callbacks: Any = None,
    **given: Any,
) -> MultiTaskTrainer:
    """A trainer on the streamed source ``topic`` and the map-style source ``valence``.

    Args:
        output_dir: Folder of the run.
        num_shards: Shards of the stream.
        num_rows: Rows of the stream, a multiple of 12.
        dropout: Dropout of the backbone.
        rows_of_epoch: Rows of the stream in an epoch; ``None``: its length is not known.
        callbacks: As in ``Trainer``.
        given: More training arguments.
    """
    rows = toy_runs.toy_datasets()
    topic = Dataset.from_dict(
        {name: rows["topic"][name][:] * (num_rows // 12) for name in ("body", "group")}
    )
    # Rows that can be told apart, so that a row too many or too few changes the loss.
    words = toy_runs.TINY_TEXT.split()
    topic = topic.map(lambda row, i: {"body": f"{row['body']} {words[i % 19]}"}, with_indices=True)
    set_seed(0)
    config = toy_runs.tiny_bert_config(hidden_dropout_prob=dropout)
    tokenizer = toy_runs.toy_tokenizer()
    train: Any = {
        "topic": topic.to_iterable_dataset(num_shards=num_shards),
        "valence": rows["valence"],
    }
    if rows_of_epoch is not None:
        train = prepare(SUITE, train, tokenizer, num_rows={"topic": rows_of_epoch})
    defaults = {
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "stream_shuffle_rows": 10,
        "disable_tqdm": True,
        "use_cpu": True,
    }
    return MultiTaskTrainer(
        model=MultiTaskModel.from_backbone(BertModel(config), SUITE),
        args=MultiTaskTrainingArguments(output_dir=output_dir, **defaults | given),
        train_dataset=train,
        eval_dataset={"topic": topic.select(range(12)), "valence": rows["valence"]},
        processing_class=tokenizer,
        callbacks=callbacks,
    )


def streamed_run(output_dir: str, **given: Any) -> tuple[list[dict[str, Any]], float]:
    """Log lines of a run of `streaming_trainer` on this rank, and the sum of its parameters."""
    resume = given.pop("resume_from_checkpoint", None)
    trainer = streaming_trainer(output_dir, **given)
    trainer.train(resume_from_checkpoint=resume)
    model = trainer.accelerator.unwrap_model(trainer.model)
    total = sum(float(value.double().sum()) for value in model.state_dict().values())
    return toy_runs.history(trainer), total
