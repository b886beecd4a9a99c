# SPDX-License-Identifier: Apache-2.0
"""Every promised family: built, trained, saved, loaded, taken apart and put together again."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from head_families import CONFIG_BY_FAMILY, padding_token
from slow_cells import some_fast
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.testing import assert_close
from toy_runs import TINY_TEXT, toy_datasets
from transformers import (
    PreTrainedTokenizerFast,
    T5Model,
    set_seed,
)

from hf_mtl import (
    MultiTaskModel,
    MultiTaskTrainer,
    MultiTaskTrainingArguments,
    TaskSpec,
    TaskSuite,
)
from hf_mtl.models.loading import align_memory, new_backbone

TEXT_FAMILIES = sorted(CONFIG_BY_FAMILY.keys() - {"vit"})
over_families = pytest.mark.parametrize("family", some_fast(TEXT_FAMILIES, {"bert", "gpt2", "t5"}))

TEXTS = ["the film was very good .", "dull", "Ada Byron was not bad !"]
# Families whose native heads on rows read the first position, so that texts must be padded on the
# right. docs/models.md names them.
READING_THE_FIRST_POSITION = {
    "albert", "bert", "deberta-v2", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta",
}  # fmt: skip


def suite(family: str) -> TaskSuite:
    """A class, a number and a class a word; the heads of T5 on rows have a decoder."""
    head = "pooled" if family == "t5" else None
    return TaskSuite(
        {
            "topic": TaskSpec(
                "text-classification", columns={"text": "body", "label": "group"}, head=head
            ),
            "valence": TaskSpec(
                "regression", columns={"text": "sentence", "label": "score"}, head=head
            ),
            "parts": TaskSpec(
                "token-classification", columns={"tokens": "words", "labels": "tags"}
            ),
        }
    )


def tokenizer_of(family: str) -> PreTrainedTokenizerFast:
    """Whole words of the toy tasks, padding where the family wants it; decoders add nothing."""
    special = ["[UNK]", "[CLS]", "[SEP]"]
    special.insert(padding_token(family), "[PAD]")
    vocabulary = {word: index for index, word in enumerate([*special, *TINY_TEXT.split()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if family not in {"gpt2", "llama", "mistral", "qwen3"}:
        tokenizer.post_processor = processors.BertProcessing(
            ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", model_max_length=32,
    )  # fmt: skip


def trainer_of(
    family: str, folder: Path, model: MultiTaskModel | None = None, **given: Any
) -> MultiTaskTrainer:
    """A trainer; its model is built from a folder that holds the backbone and its tokenizer."""
    set_seed(0)
    tokenizer = tokenizer_of(family)
    config = CONFIG_BY_FAMILY[family]()
    # Of T5 what lies in a folder has a decoder too.
    backbone = T5Model(config) if family == "t5" else new_backbone(config)
    backbone.save_pretrained(folder / "backbone")
    tokenizer.save_pretrained(folder / "backbone")
    if model is None:
        model = MultiTaskModel.from_backbone(str(folder / "backbone"), suite(family))
    defaults = {
        "per_device_train_batch_size": 4,
        "tasks_per_step": "all",
        "max_steps": 3,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    data = toy_datasets()
    data["parts"] = data.pop("names")
    return MultiTaskTrainer(
        model=model,
        args=MultiTaskTrainingArguments(output_dir=str(folder / "out"), **defaults | given),
        train_dataset=data,
        eval_dataset=data,
        processing_class=tokenizer,
    )


def auto_model(model: MultiTaskModel, task: str) -> Any:
    return getattr(transformers, model.suite[task].task_type.auto_model)


def native_tasks(model: MultiTaskModel) -> list[str]:
    return [task for task, spec in model.suite.items() if spec.head is None]


def inputs_of(tokenizer: PreTrainedTokenizerFast, side: str = "right") -> dict[str, torch.Tensor]:
    encoded = tokenizer(TEXTS, padding=True, padding_side=side, return_tensors="pt")
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


@over_families
def test_a_few_steps_lower_every_loss_and_move_all_that_is_trained(family, tmp_path):
    trainer = trainer_of(family, tmp_path, max_steps=20, lr_scheduler_type="constant")
    before = {name: each.detach().clone() for name, each in trainer.model.named_parameters()}
    losses = trainer.evaluate()
    trainer.train()
    for task in trainer.model.suite:
        assert trainer.evaluate()[f"eval_{task}_loss"] < losses[f"eval_{task}_loss"], task
    kept = {
        name
        for name, each in trainer.model.named_parameters()
        if torch.equal(each.detach(), before[name])
    }
    frozen = {name for name, each in trainer.model.named_parameters() if not each.requires_grad}
    assert kept == frozen


@over_families
def test_a_trained_model_is_saved_taken_apart_and_put_together_bit_for_bit(family, tmp_path):
    trainer = trainer_of(family, tmp_path)
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    model = trainer.model.eval()
    inputs = inputs_of(trainer.processing_class)
    expected = model(**inputs).logits

    loaded = MultiTaskModel.from_pretrained(str(tmp_path / "saved"))
    assert_equal_logits(loaded(**inputs).logits, expected)
    assert loaded.predict(TEXTS) == model.predict(TEXTS)

    singles = {}
    for task in native_tasks(loaded):
        single = loaded.to_single_task(task)
        single.save_pretrained(tmp_path / task)
        loaded.processing_class.save_pretrained(tmp_path / task)
        again = auto_model(model, task).from_pretrained(tmp_path / task)
        # Plain loading leaves weights where products may differ in the last bit: `align_memory`.
        align_memory(again)
        assert torch.equal(again(**inputs).logits, expected[task]), task
        singles[task] = str(tmp_path / task)

    together = MultiTaskModel.from_single_task(singles)
    assert_equal_logits(together(**inputs).logits, {task: expected[task] for task in singles})
    assert together.processing_class.get_vocab() == loaded.processing_class.get_vocab()


def assert_equal_logits(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for task, logits in expected.items():
        assert torch.equal(found[task], logits), task


@over_families
def test_texts_are_padded_on_either_side_but_for_heads_that_read_the_first_position(
    family, tmp_path
):
    model = trainer_of(family, tmp_path).model.eval()
    tokenizer = model.processing_class
    right, left = (inputs_of(tokenizer, side) for side in ("right", "left"))
    on_right, on_left = model(**right).logits, model(**left).logits
    by_word = [
        logits["parts"][inputs["attention_mask"].bool()]
        for logits, inputs in ((on_right, right), (on_left, left))
    ]
    assert_close(*by_word, rtol=1e-4, atol=1e-5)
    same = torch.allclose(on_left["topic"], on_right["topic"], rtol=1e-4, atol=1e-5)
    assert same == (family not in READING_THE_FIRST_POSITION)
    alone = {name: value[1:2, : right["attention_mask"][1].sum()] for name, value in right.items()}
    assert_close(on_right["topic"][1:2], model(**alone).logits["topic"], rtol=1e-4, atol=1e-5)


def test_a_merged_model_is_trained_on(tmp_path):
    trainer = trainer_of("bert", tmp_path)
    trainer.train()
    columns = suite("bert")
    singles = {task: trainer.model.to_single_task(task) for task in columns}
    merged = MultiTaskModel.from_single_task(singles, backbone="average", tasks=columns)
    reached = trainer.evaluate()["eval_parts_loss"]
    trainer = trainer_of("bert", tmp_path, merged)
    assert trainer.evaluate()["eval_parts_loss"] == reached
    trainer.train()
    assert trainer.evaluate()["eval_parts_loss"] < reached


@pytest.mark.slow
@pytest.mark.real_weights
def test_fine_tuned_encoders_with_pretrained_weights_are_merged(real_data, tmp_path):
    """Both went a known way from one pretrained encoder; it is found in the merged one."""
    base = str(real_data / "minilm")
    model = MultiTaskModel.from_backbone(
        base,
        {
            "kind": TaskSpec("text-classification", labels=("company", "person")),
            "parts": TaskSpec("token-classification", labels=("O", "NAME")),
        },
    )
    start = model.backbone.embeddings.word_embeddings.weight.detach().clone()
    folders = {}
    for task, change in (("kind", 0.25), ("parts", -0.125)):
        with torch.no_grad():
            model.backbone.embeddings.word_embeddings.weight.copy_(start + change)
        model.to_single_task(task).save_pretrained(tmp_path / task)
        model.processing_class.save_pretrained(tmp_path / task)
        folders[task] = str(tmp_path / task)

    def merged(**method: Any) -> torch.Tensor:
        entry = {"base": base, **method}
        together = MultiTaskModel.from_single_task(folders, backbone=entry)
        assert together.predict("Ada Byron was here.").keys() == folders.keys()
        return together.backbone.embeddings.word_embeddings.weight

    assert_close(merged(name="task_arithmetic", scale=0.5), start + 0.5 * (0.25 - 0.125))
    # The sum is positive, so that of the two only the first agrees with the elected sign.
    assert_close(merged(name="ties", density=1.0), start + 0.25)
