# SPDX-License-Identifier: Apache-2.0
"""Questions on long texts from end to end: training, evaluation, answers."""

import random

import pytest
import torch
from datasets import Dataset, load_dataset

from hf_mtl import (
    MultiTaskModel,
    MultiTaskTrainer,
    MultiTaskTrainingArguments,
    TaskSpec,
    TaskSuite,
)
from hf_mtl.data import eval_dataloader, prepare
from hf_mtl.evaluation import collect, constant_baseline

NAMES = ["Ada", "Byron", "Bell", "Labs", "Inc"]
OTHERS = ["a", "the", "film", "was", "is", "very", "not", "good", "bad", "great", "dull", ".", ","]
SPEC = TaskSpec("question-answering", max_length=16, options={"stride": 4})
SUITE = TaskSuite({"name": SPEC})


def rows_of(count: int) -> Dataset:
    """Texts of 3 to 30 words, three of four with one name somewhere among them."""
    chance = random.Random(0)
    rows = []
    for row in range(count):
        words = chance.choices(OTHERS, k=chance.randint(3, 30))
        name, place = chance.choice(NAMES), chance.randint(0, len(words))
        has_name = row % 4 > 0
        context = " ".join([*words[:place], name, *words[place:]] if has_name else words)
        starts = [len(" ".join([*words[:place], ""]))] if has_name else []
        answers = {"text": [name] * has_name, "answer_start": starts}
        rows.append({"question": "good ?", "context": context, "answers": answers})
    return Dataset.from_list(rows)


def test_names_in_long_texts_are_found(toy_trainer, tmp_path):
    rows = rows_of(80)
    trainer = toy_trainer(
        suite=SUITE,
        data={"name": rows},
        max_steps=120,
        per_device_train_batch_size=16,
        logging_steps=50,
    )
    before = trainer.evaluate()
    trainer.train()
    metrics = trainer.evaluate()
    assert metrics["eval_name_exact_match"] > 0.9 > before["eval_name_exact_match"]
    assert metrics["eval_mean"] == metrics["eval_name_answer_f1"]
    # One entry a question, of which many were read in several windows.
    found = trainer.predict({"name": rows})
    assert len(found.predictions["name"]) == 80 < len(trainer.get_train_dataloader().dataset)
    assert found.label_ids["name"] == [row["answers"]["text"] for row in rows]

    trainer.save_model(str(tmp_path / "saved"))
    model = MultiTaskModel.from_pretrained(tmp_path / "saved")
    inputs = [{key: row[key] for key in ("question", "context")} for row in rows]
    answers = [each["name"] for each in model.predict(inputs, batch_size=3)]
    assert [[each["answer"]] if each["answer"] else [] for each in answers] == found.predictions[
        "name"
    ]
    for each, row in zip(answers, inputs, strict=True):
        if each["answer"]:
            assert row["context"][each["start"] : each["end"]] == each["answer"]


@pytest.fixture
def untrained(tiny_bert_config):
    """A model that answers something else to each row."""
    from transformers import BertModel

    backbone = BertModel(tiny_bert_config)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter += torch.randn_like(parameter)
    suite = TaskSuite({"name": SPEC.replace(options={"stride": 4, "null_threshold": 1e9})})
    return MultiTaskModel.from_backbone(backbone, suite).double()


@pytest.mark.parametrize("side", ["right", "left"])
def test_answers_depend_neither_on_batches_nor_on_padding(untrained, tiny_tokenizer, side):
    rows = rows_of(12)
    inputs = [{key: row[key] for key in ("question", "context")} for row in rows]
    alone = [untrained.predict(row, processing_class=tiny_tokenizer) for row in inputs]
    tiny_tokenizer.padding_side = side
    together = untrained.predict(inputs, processing_class=tiny_tokenizer, batch_size=5)
    assert len({each["name"]["answer"] for each in alone}) > 3
    for one, other in zip(alone, together, strict=True):
        assert one["name"].pop("score") == pytest.approx(other["name"].pop("score"), rel=1e-6)
        assert one == other


def test_windows_of_one_question_on_several_ranks_are_joined(untrained, tiny_tokenizer):
    collection = prepare(untrained.suite, {"name": rows_of(10)}, tiny_tokenizer)

    def batches(world_size, rank):
        return eval_dataloader(
            collection, batch_size=2, world_size=world_size, rank=rank, num_workers=0
        )

    expected = collect(untrained, batches(1, 0))["name"]
    handed_over = []
    for rank in range(3):
        collect(untrained, batches(3, rank), gather=lambda own: [handed_over.append(own) or own])
    found = collect(untrained, batches(3, 0), gather=lambda own: handed_over)["name"]
    assert len(expected.predictions) == 10 < len(collection)
    assert found.predictions == expected.predictions
    assert found.references == expected.references
    assert found.loss == pytest.approx(expected.loss)


def test_the_constant_answer_is_none(tiny_tokenizer):
    test = prepare(SUITE, {"name": rows_of(8)}, tiny_tokenizer)
    baseline = constant_baseline(SUITE, test, test)
    # Right on the one in four that has no name.
    assert baseline == {"name": {"answer_f1": 0.25, "exact_match": 0.25}}


def test_questions_are_learned_beside_other_tasks_in_one_forward(toy_trainer, toy_data, toy_suite):
    suite = TaskSuite({**toy_suite, "name": SPEC})
    trainer = toy_trainer(
        suite=suite,
        data={**toy_data, "name": rows_of(12)},
        tasks_per_step="all",
        batches="merged",
        gradient_method="pcgrad",
        max_steps=2,
    )
    trainer.train()
    assert {"eval_name_exact_match", "eval_topic_accuracy"} < trainer.evaluate().keys()
    answers = trainer.model.predict({"question": "good ?", "context": "Ada was not bad ."})
    assert set(answers) == {"name"}


QUESTIONS = {"GivenName": "What is the given name?", "Surname": "What is the surname?"}


def questions_on_names(real_data) -> Dataset:
    """Questions made from real rows: each asks for a part of a name that stands among reviews.

    In one of three rows there is no name.
    """
    names = load_dataset("json", data_files=str(real_data / "names.jsonl"), split="train")
    reviews = load_dataset("json", data_files=str(real_data / "reviews.jsonl"), split="train")
    chance = random.Random(0)
    rows = []
    for name in names.filter(lambda row: row["tags"] == list(QUESTIONS)):
        before, behind = (reviews[chance.randrange(len(reviews))]["sentence"] for _ in range(2))
        place, has_name = chance.randrange(2), len(rows) % 3 > 0
        start = len(before) + 2 + place * (len(name["words"][0]) + 1)
        said = [f'"{" ".join(name["words"])}"'] * has_name
        rows.append(
            {
                "question": list(QUESTIONS.values())[place],
                "context": " ".join([before, *said, behind]),
                "answers": {
                    "text": [name["words"][place]] * has_name,
                    "answer_start": [start] * has_name,
                },
            }
        )
    return Dataset.from_list(rows)


@pytest.mark.slow
@pytest.mark.real_weights
def test_parts_of_real_names_are_found_in_real_sentences(real_data, tmp_path):
    parts = questions_on_names(real_data).train_test_split(100, 550, seed=0)
    # Reviews are up to 50 words long.
    spec = TaskSpec("question-answering", max_length=48, options={"stride": 16})
    trainer = MultiTaskTrainer(
        model=MultiTaskModel.from_backbone(str(real_data / "minilm"), {"part": spec}),
        args=MultiTaskTrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=16,
            learning_rate=5e-4,
            max_steps=90,
            save_strategy="no",
            disable_tqdm=True,
            report_to="none",
            use_cpu=True,
        ),
        train_dataset={"part": parts["train"]},
        eval_dataset={"part": parts["test"]},
    )
    collection = trainer.get_train_dataloader().dataset
    assert len(collection) > 1.2 * len(parts["train"])
    trainer.train()
    metrics = trainer.evaluate()
    model = trainer.model
    baseline = constant_baseline(
        model.suite,
        collection,
        prepare(model.suite, {"part": parts["test"]}, model.processing_class),
    )
    assert metrics["eval_part_answer_f1"] > baseline["part"]["answer_f1"] + 0.3
