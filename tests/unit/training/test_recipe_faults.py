# SPDX-License-Identifier: Apache-2.0
"""Every word of what is said about a wrong recipe."""

import pytest
from recipe_texts import faults, three_tasks


@pytest.fixture
def content(tmp_path):
    return three_tasks(tmp_path)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        pytest.param(
            "tasks.topic.type=text-clasification",
            "tasks.topic.type: Unknown task type 'text-clasification'. Did you mean "
            "'text-classification'? Known: [",
            id="unknown task type",
        ),
        pytest.param(
            "tasks.topic.wieght=2",
            "tasks.topic.wieght: Unknown field 'wieght'. Did you mean 'weight'? Known: "
            "['batch_size', 'batch_tokens', 'columns', 'data', 'detached', 'head', 'labels', "
            "'learning_rate', 'loss', 'max_length', 'metrics', 'options', 'schedule', 'source', "
            "'type', 'weight', 'weight_decay'].",
            id="unknown field of a task",
        ),
        pytest.param(
            "tasks.topic.metrics=[acuracy]",
            "tasks.topic.metrics: `metrics` of task 'topic': Unknown metric 'acuracy'. "
            "Did you mean 'accuracy'?",
            id="unknown metric",
        ),
        pytest.param(
            "tasks.topic.head=poold",
            "tasks.topic.head: Unknown head 'poold'. Did you mean 'pooled'? "
            "Known: ['chain', 'native', 'pooled'].",
            id="unknown head",
        ),
        pytest.param(
            "tasks.topic.columns={txt: body}",
            "tasks.topic.columns: Unknown role in `columns` 'txt'. Did you mean 'text'? "
            "Known: ['label', 'text', 'text_pair'].",
            id="unknown role",
        ),
        pytest.param(
            "tasks.topic.weight=-1",
            "tasks.topic.weight: `weight` must be finite and not negative, but got -1.",
            id="bad value of a task",
        ),
        pytest.param(
            "tasks.topic.source=names",
            "tasks.topic: A task has `data` or `source`, not both, but got `source: names` as "
            "well. Leave one of the two out.",
            id="rows twice",
        ),
        pytest.param(
            "tasks.kind.source=nams",
            "tasks.kind.source: Unknown source 'nams'. Did you mean 'names'? "
            "Known: ['names', 'topic'].",
            id="unknown source",
        ),
        pytest.param(
            "tasks.topic=null",
            "tasks.topic: A task must have a `type`, such as `type: text-classification`.",
            id="a task that is nothing",
        ),
        pytest.param(
            "tasks.topic=text-classification",
            "tasks.topic: `tasks.topic` must be a mapping, but got 'text-classification'. "
            "Write `name: value`.",
            id="a task that is no mapping",
        ),
        pytest.param(
            "tasks={}",
            "tasks: There must be at least one task. Write `tasks: {name: {type: ...}}`.",
            id="no task",
        ),
        pytest.param(
            "tasks.topic.data.data_files=new.csv",
            "There is no file or folder 'new.csv' in",
            id="missing file",
        ),
        pytest.param(
            "sources.names.data_files=[a-*.jsonl]",
            "No file matches 'a-*.jsonl' in",
            id="pattern without a match",
        ),
        pytest.param(
            "sources.names.path=null",
            "sources.names.path: `path` must be what `datasets.load_dataset` takes, such as `csv` "
            "or a name on the Hub, but got None. Add it.",
            id="source without data",
        ),
        pytest.param(
            "sources.names.path=./names",
            "sources.names.path: There is no file or folder './names' in",
            id="missing folder",
        ),
        pytest.param(
            "sources.names.eval_split=3",
            "sources.names.eval_split: `eval_split` must name a split, but got 3.",
            id="bad split",
        ),
        pytest.param(
            "tasks.topic.schedule={strat: 0.5}",
            "tasks.topic.schedule: Unknown field of `schedule` 'strat'. Did you mean 'start'?",
            id="unknown field of a schedule",
        ),
        pytest.param(
            "training.layer_decay=2",
            "training.layer_decay: `layer_decay` must be in (0, 1], but got 2",
            id="layer decay that would grow",
        ),
        pytest.param(
            "training.baseline_scores={topc: 1}",
            "training: Unknown task in `baseline_scores` 'topc'. Did you mean 'topic'?",
            id="baseline of an unknown task",
        ),
        pytest.param(
            "mixture={sampler: temprature}",
            "mixture.sampler: Unknown sampler 'temprature'. Did you mean 'temperature'? "
            "Known: ['alpha', 'annealed', ",
            id="unknown sampler",
        ),
        pytest.param(
            "mixture.sampler=uniform",
            "`sampler` must be left out with `tasks_per_step='all'`, where every source is drawn "
            "in each step, but got 'uniform'.",
            id="sampler beside all",
        ),
        pytest.param(
            "mixture.tasks_per_step=0",
            "mixture.tasks_per_step: `tasks_per_step` must be a whole number from 1 or 'all', "
            "but got 0.",
            id="bad value of the mixture",
        ),
        pytest.param(
            "mixture.batchs=merged",
            "mixture.batchs: Unknown field 'batchs'. Did you mean 'batches'? Known: "
            "['batches', 'sampler', 'stopping', 'tasks_per_step'].",
            id="unknown field of the mixture",
        ),
        pytest.param(
            "balancing.weighting=uncertainy",
            "balancing.weighting: Unknown loss weighting 'uncertainy'. Did you mean 'uncertainty'?",
            id="unknown weighting",
        ),
        pytest.param(
            "balancing.gradient_method=pc_grad",
            "balancing.gradient_method: Unknown gradient method 'pc_grad'. Did you mean 'pcgrad'?",
            id="unknown gradient method",
        ),
        pytest.param(
            "training.weighting=dwa",
            "training.weighting: Move `weighting` to the section `balancing`.",
            id="weighting among the training arguments",
        ),
        pytest.param(
            "training.learning_rat=1",
            "training.learning_rat: Unknown field 'learning_rat'. Did you mean 'learning_rate'?",
            id="unknown training argument",
        ),
        pytest.param(
            "training.tasks_per_step=1",
            "training.tasks_per_step: Move `tasks_per_step` to the section `mixture`.",
            id="misplaced training argument",
        ),
        pytest.param(
            "training.learning_rate=fast",
            "training.learning_rate: `learning_rate` must be a number, but got 'fast'.",
            id="text where a number is expected",
        ),
        pytest.param(
            "training.max_steps=1.5",
            "training.max_steps: `max_steps` must be a whole number, but got 1.5.",
            id="a fraction where a whole number is expected",
        ),
        pytest.param(
            "training.per_device_train_batch_size=0",
            "training.per_device_train_batch_size: `per_device_train_batch_size` must be above 0, "
            "but got 0.",
            id="no rows in a batch",
        ),
        pytest.param(
            "training.max_steps=0",
            "training.max_steps: `max_steps` must be above 0, or -1 to train for "
            "`num_train_epochs`, but got 0.",
            id="a run without steps",
        ),
        pytest.param(
            "training.epochs=3",
            "training.epochs: Unknown field 'epochs'. Did you mean 'num_train_epochs'?",
            id="a part of the name of a training argument",
        ),
        pytest.param(
            "training.batch_size=8",
            "training.batch_size: Unknown field 'batch_size'. Did you mean one of "
            "['auto_find_batch_size', 'per_device_eval_batch_size', "
            "'per_device_train_batch_size']?",
            id="a part of the names of several training arguments",
        ),
        pytest.param(
            "training.lr=1",
            "training.lr: Unknown field 'lr'. Its fields are the arguments of "
            "`MultiTaskTrainingArguments`.",
            id="nothing like a training argument",
        ),
        pytest.param(
            "training.eval_strategy=often",
            "training.eval_strategy: often is not a valid IntervalStrategy",
            id="a choice that there is not",
        ),
        pytest.param(
            "training.metric_for_best_model=eval_topc_accuracy",
            "training.metric_for_best_model: Unknown `metric_for_best_model` 'topc_accuracy'. "
            "Did you mean 'topic_accuracy'?",
            id="metric that no evaluation reports",
        ),
        pytest.param(
            "training={}",
            "training.output_dir: `output_dir` must be given: the folder of the run.",
            id="no output folder",
        ),
        pytest.param(
            "model.backbone=null",
            "model.backbone: `backbone` must be a name on the Hub or a folder, but got None. "
            "Write `model: {backbone: bert-base-uncased}`.",
            id="no backbone",
        ),
    ],
)
def test_a_fault_is_named_in_the_users_words(tmp_path, content, override, problem):
    found = faults(tmp_path, content, override)
    assert problem in "\n".join(found)
