# SPDX-License-Identifier: Apache-2.0
"""A run that is resumed equals the run that was not interrupted, bit for bit."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from toy_runs import history
from transformers import ViTConfig, ViTImageProcessor, ViTModel, set_seed

from hf_mtl import (
    MultiTaskModel,
    MultiTaskTrainer,
    MultiTaskTrainingArguments,
    TaskSpec,
    TaskSuite,
)
from hf_mtl.training.checkpoints import RunState

SAMPLERS = [
    {},
    pytest.param({"sampler": "temperature"}, marks=pytest.mark.slow),
    {"sampler": "uniform", "tasks_per_step": 2},
    pytest.param({"sampler": "round_robin"}, marks=pytest.mark.slow),
    pytest.param({"sampler": "annealed"}, marks=pytest.mark.slow),
    {"sampler": {"name": "stages", "stages": [["names"], ["valence", "topic"]]}},
    {"tasks_per_step": "all", "batches": "merged"},
]


def assert_same_run(resumed, whole, after):
    assert history(resumed, after) == history(whole, after)
    expected = whole.model.state_dict()
    assert all(
        torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items()
    )


@pytest.mark.parametrize("mixture", SAMPLERS, ids=str)
def test_a_resumed_run_equals_the_uninterrupted_one(toy_trainer, mixture):
    settings = {
        "dropout": 0.1,
        "num_train_epochs": 3,
        "gradient_accumulation_steps": 2,
        "per_device_train_batch_size": 2,
        "save_strategy": "steps",
        "save_steps": 1,
        **mixture,
    }
    whole = toy_trainer("whole", **settings)
    whole.train()
    steps_per_epoch = whole.state.max_steps // 3
    for step in (2, steps_per_epoch, steps_per_epoch + 2):  # first epoch, its end, a later one
        resumed = toy_trainer("resumed", **settings, overwrite_output_dir=True)
        resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-{step}")
        assert_same_run(resumed, whole, step)


def test_a_schedule_of_another_length_is_refused_on_resume(toy_trainer):
    settings = {"sampler": "annealed", "save_strategy": "steps", "save_steps": 2}
    toy_trainer("run", **settings, max_steps=2).train()
    longer = toy_trainer("run", **settings, max_steps=4, overwrite_output_dir=True)
    with pytest.raises(ValueError, match="`training_steps` was 2 and is 4"):
        longer.train(resume_from_checkpoint=True)


def test_a_line_of_the_log_counts_the_steps_before_a_checkpoint_too(toy_trainer):
    """Upstream averages only those since it was resumed."""
    settings = {"max_steps": 8, "logging_steps": 4, "save_strategy": "steps", "save_steps": 3}
    whole = toy_trainer("whole", **settings)
    whole.train()
    each_step = toy_trainer("each", **settings | {"logging_steps": 1})
    each_step.train()
    resumed = toy_trainer("resumed", **settings)
    found = resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-3")
    assert len(history(whole, 3)) == 2
    assert history(resumed, 3) == history(whole, 3)
    losses = [line["loss"] for line in history(each_step, 3)]
    assert found.training_loss == pytest.approx(sum(losses) / 5, rel=1e-5)


def test_the_number_of_workers_is_irrelevant(toy_trainer):
    settings = {"dropout": 0.1, "max_steps": 6, "save_strategy": "steps", "save_steps": 4}
    whole = toy_trainer("whole", **settings)
    whole.train()
    resumed = toy_trainer("resumed", **settings, dataloader_num_workers=2)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-4")
    assert_same_run(resumed, whole, 4)


def test_a_checkpoint_that_lacks_a_head_is_refused(toy_trainer):
    trainer = toy_trainer(max_steps=2, save_strategy="steps", save_steps=1)
    trainer.train()
    file = f"{trainer.args.output_dir}/checkpoint-1/model.safetensors"
    tensors = load_file(file)
    save_file(
        {name: value for name, value in tensors.items() if not name.startswith("heads.topic")},
        file,
        metadata={"format": "pt"},
    )
    with pytest.raises(ValueError, match=r"lacks 2 tensors: heads.topic"):
        toy_trainer(max_steps=2).train(
            resume_from_checkpoint=f"{trainer.args.output_dir}/checkpoint-1"
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"per_device_train_batch_size": 2}, "`sources` was"),
        ({"seed": 1}, "`seed` was 42 and is 1"),
        ({"sampler": "uniform"}, "`sampler` was {'name': 'proportional'"),
        ({"tasks_per_step": "all"}, "`tasks_per_step` was 1 and is all"),
    ],
)
def test_a_resume_that_would_draw_other_rows_is_refused(toy_trainer, change, words):
    settings = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    toy_trainer(**settings).train()
    with pytest.raises(ValueError, match=f"must draw the same rows as the run of .*{words}"):
        toy_trainer(**settings | change).train(resume_from_checkpoint=True)
    toy_trainer(**settings | change, ignore_data_skip=True).train(resume_from_checkpoint=True)


def test_a_run_that_was_done_takes_no_more_steps(toy_trainer):
    """Upstream takes one, where the last step is not the last of its epoch."""
    settings = {"max_steps": 3, "save_strategy": "steps", "save_steps": 1}
    whole = toy_trainer(**settings)
    whole.train()
    resumed = toy_trainer(**settings)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 3
    assert_same_run(resumed, whole, 3)


def test_the_newest_whole_checkpoint_is_resumed(toy_trainer, caplog):
    settings = {"dropout": 0.1, "max_steps": 4, "save_strategy": "steps", "save_steps": 1}
    whole = toy_trainer(**settings)
    whole.train()
    folder = Path(whole.args.output_dir)
    (folder / "checkpoint-4/scheduler.pt").unlink()
    (folder / "checkpoint-3/optimizer.pt").write_bytes(b"")
    resumed = toy_trainer(**settings)
    resumed.train(resume_from_checkpoint=True)
    assert history(resumed, 2) == history(whole, 2)
    assert resumed._initial_global_step == 2
    assert "checkpoint-4': it is not whole, it lacks ['scheduler.pt']" in caplog.text
    assert "checkpoint-3': it is not whole, it lacks ['optimizer.pt (cut off)']" in caplog.text


def test_a_checkpoint_of_the_format_before_the_first_is_resumed(toy_trainer):
    settings = {"dropout": 0.1, "max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    whole = toy_trainer(**settings)
    whole.train()
    checkpoint = Path(whole.args.output_dir) / "checkpoint-2"
    mixture = json.loads((checkpoint / "multitask_state.json").read_text())["mixture"]
    (checkpoint / "multitask_state.json").unlink()
    for later in ("streams", "stream_shuffle_rows"):
        mixture.pop(later)
    (checkpoint / "mixture.json").write_text(json.dumps(mixture))
    resumed = toy_trainer(**settings)
    resumed.train(resume_from_checkpoint=str(checkpoint))
    assert_same_run(resumed, whole, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"strategy": "fsdp"},
            r"under the strategy .* 'fsdp', but the run is 'replicated'",
        ),
        ({"format": 2}, "must be of format 1 or older, but it is of format 2"),
    ],
)
def test_a_checkpoint_that_this_run_cannot_read_is_refused(toy_trainer, change, words):
    settings = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    trainer = toy_trainer(**settings)
    trainer.train()
    file = Path(trainer.args.output_dir) / "checkpoint-1/multitask_state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ValueError, match=words):
        toy_trainer(**settings).train(resume_from_checkpoint=str(file.parent))


def test_parts_with_a_state_are_saved_and_loaded(toy_trainer, monkeypatch):
    class Counter:
        is_required = True

        def __init__(self):
            self.count = 0

        def state_dict(self):
            self.count += 1
            return self.count

        def merge(self, states):
            return {"by_rank": states}

        def load_state_dict(self, state):
            self.count = state["by_rank"][0]

    settings = {"max_steps": 4, "save_strategy": "steps", "save_steps": 1}
    first, second = toy_trainer(**settings), toy_trainer(**settings)
    counter = Counter()
    monkeypatch.setattr(first, "_stateful_parts", lambda: {"counter": counter})
    first.train()
    checkpoint = f"{first.args.output_dir}/checkpoint-3"
    assert RunState.read(Path(checkpoint)).parts == {"counter": {"by_rank": [3]}}
    resumed = Counter()
    monkeypatch.setattr(second, "_stateful_parts", lambda: {"counter": resumed})
    second.train(resume_from_checkpoint=checkpoint)
    assert resumed.count == 4  # the three of before, and the save after the last step
    third = toy_trainer(**settings)
    monkeypatch.setattr(third, "_stateful_parts", lambda: {"other": Counter()})
    with pytest.raises(ValueError, match=r"state of every part of the run, but it lacks \['other'"):
        third.train(resume_from_checkpoint=checkpoint)


def test_batches_may_be_cut_differently_as_long_as_a_step_has_the_same_rows(toy_trainer):
    settings = {"max_steps": 3, "save_strategy": "steps", "save_steps": 1}
    whole = toy_trainer(**settings, per_device_train_batch_size=4)
    whole.train()
    other = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    resumed = toy_trainer("cut", **settings | other)
    resumed.train(resume_from_checkpoint=f"{whole.args.output_dir}/checkpoint-1")
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("file", ["optimizer.pt", "trainer_state.json", "multitask_state.json"])
def test_a_checkpoint_without_the_whole_state_is_refused(toy_trainer, file):
    settings = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    trainer = toy_trainer(**settings)
    trainer.train()
    checkpoint = Path(trainer.args.output_dir) / "checkpoint-1"
    (checkpoint / file).unlink()
    with pytest.raises(ValueError, match=f"the whole state of a run, but it lacks .*{file}"):
        toy_trainer(**settings).train(resume_from_checkpoint=str(checkpoint))


def test_a_folder_with_another_run_is_refused_until_told_otherwise(toy_trainer):
    settings = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    toy_trainer(**settings).train()
    with pytest.raises(ValueError, match="`output_dir` must not hold another run"):
        toy_trainer(**settings).train()
    toy_trainer(**settings, overwrite_output_dir=True).train()
    toy_trainer(**settings | {"max_steps": 3}).train(resume_from_checkpoint=True)


def test_a_second_training_logs_nothing_of_the_first(toy_trainer):
    complete = {"num_train_epochs": 1, "tasks_per_step": "all", "stopping": "first_exhausted"}
    trainer = toy_trainer(**complete, per_device_train_batch_size=2, logging_steps=2, max_steps=3)
    for _ in range(2):
        trainer.train()
        line = trainer.state.log_history[0]
        losses = [value for name, value in line.items() if name.startswith("loss/")]
        assert line["loss"] == pytest.approx(sum(losses) / 4, rel=1e-5)


def test_a_search_of_hyperparameters_has_the_strategy_of_its_accelerator(toy_trainer):
    trainer = toy_trainer()
    trainer.create_accelerator_and_postprocess()  # as upstream does for each trial
    assert trainer.strategy.accelerator is trainer.accelerator


def test_the_same_trainer_may_train_again(toy_trainer):
    trainer = toy_trainer(max_steps=2, save_strategy="steps", save_steps=1)
    trainer.train()
    trainer.train()


@pytest.fixture
def digits_trainer(tmp_path):
    """Two tasks on the digits of scikit-learn with a tiny ViT: which digit, and is it even."""
    from datasets import Dataset

    digits = load_digits()
    rows = Dataset.from_dict(
        {
            "image": [
                Image.fromarray((16 * image).clip(0, 255).astype("uint8"))
                for image in digits.images[:64]
            ],
            "digit": digits.target[:64].tolist(),
            "parity": ["even" if digit % 2 == 0 else "odd" for digit in digits.target[:64]],
        }
    )
    suite = TaskSuite(
        {
            "digit": TaskSpec("image-classification", columns={"label": "digit"}, source="digits"),
            "parity": TaskSpec(
                "image-classification", columns={"label": "parity"}, source="digits"
            ),
        }
    )
    config = ViTConfig(
        image_size=8,
        patch_size=4,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )

    def make(name, **given):
        set_seed(0)
        return MultiTaskTrainer(
            model=MultiTaskModel.from_backbone(ViTModel(config), suite),
            args=MultiTaskTrainingArguments(
                output_dir=str(tmp_path / name),
                use_cpu=True,
                disable_tqdm=True,
                logging_steps=1,
                learning_rate=1e-2,
                **given,
            ),
            train_dataset={"digits": rows},
            eval_dataset={"digits": rows},
            processing_class=ViTImageProcessor(size={"height": 8, "width": 8}),
        )

    return make


def test_a_vision_model_is_restored_to_the_last_tensor(digits_trainer):
    """Plain Trainer restores 8 of the 40 tensors of a ViT, with a warning."""
    settings = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3}
    whole = digits_trainer("whole", **settings)
    whole.train()
    checkpoint = f"{whole.args.output_dir}/checkpoint-3"
    resumed = digits_trainer("resumed", **settings)
    resumed.train(resume_from_checkpoint=checkpoint)
    assert_same_run(resumed, whole, 3)
    saved = load_file(f"{checkpoint}/model.safetensors")
    assert set(saved) == set(whole.model.state_dict())
    reloaded = MultiTaskModel.from_pretrained(checkpoint)
    assert all(torch.equal(value, saved[name]) for name, value in reloaded.state_dict().items())


def test_pictures_are_learned(digits_trainer):
    trainer = digits_trainer("digits", max_steps=80, per_device_train_batch_size=16)
    trainer.train()
    metrics = trainer.evaluate()
    assert metrics["eval_parity_accuracy"] > 0.8
    assert trainer.model.predict(Image.new("L", (8, 8))).keys() == {"digit", "parity"}
