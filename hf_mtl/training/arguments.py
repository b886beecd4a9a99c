# SPDX-License-Identifier: Apache-2.0
"""Training arguments: those of transformers, and how tasks are mixed."""

from dataclasses import dataclass, field
from typing import Any

from transformers import TrainingArguments
from transformers.training_args import OptimizerNames

from hf_mtl._checks import check_known
from hf_mtl._numbers import check_interval, check_positive
from hf_mtl._typing import Entry
from hf_mtl.data import SAMPLERS, STOPPING_RULES
from hf_mtl.training.engines import ENGINES, Scope
from hf_mtl.training.gradient_balance import gradient_method_of
from hf_mtl.training.loss_weights import LOSS_TIMES, weighting_of
from hf_mtl.training.nonfinite import NONFINITE_RULES

__all__ = ["MultiTaskTrainingArguments"]

_BATCHES = ("separate", "merged")
# What transformers lets users ask for and this trainer would not do: field, the value that asks
# for nothing, and what to do instead.
_UNSUPPORTED: tuple[tuple[str, Any, str], ...] = (
    ("label_smoothing_factor", 0.0, "Leave it out: each task has a loss of its own."),
    (
        "train_sampling_strategy",
        "random",
        "Choose a `sampler`, or `batch_tokens` for rows of like length.",
    ),
    ("dataloader_drop_last", False, "Every row is used once a pass; leave it out."),
    ("include_num_input_tokens_seen", "no", "Count tokens in a callback instead."),
    ("batch_eval_metrics", False, "Metrics are computed over all rows of a task."),
    ("include_for_metrics", [], "Metrics get predictions and references."),
    ("use_liger_kernel", False, "It knows single models only; leave it out."),
    ("fp16_full_eval", False, "Load the model with `dtype=torch.float16` to evaluate."),
    ("bf16_full_eval", False, "Load the model with `dtype=torch.bfloat16` to evaluate."),
    ("prediction_loss_only", False, "Every task is measured by its metrics."),
    ("eval_accumulation_steps", None, "Predictions are kept on the host in any case."),
    ("label_names", None, "The tasks say where labels are."),
)


@dataclass
class MultiTaskTrainingArguments(TrainingArguments):
    """All arguments of ``transformers.TrainingArguments``, and how tasks are mixed.

    Args:
        tasks_per_step: How many draws make one optimizer step: a number, or ``"all"`` for one of
            each source. Each draw is a batch of one source.
        batches: ``"separate"``: one forward for each draw. ``"merged"``: one forward for all
            draws of a step, rows routed to their heads; for many small tasks on a fast device.
            Losses and gradients are the same without dropout.
        sampler: Entry of the sampler registry that names the source of each draw, such as
            ``{"name": "temperature", "temperature": 2.0}``. ``None``: ``"proportional"``. Not
            with ``tasks_per_step="all"``, where nothing is drawn.
        stopping: When an epoch of ``tasks_per_step="all"`` ends, as in
            ``datasets.interleave_datasets``: ``"all_exhausted"`` (the largest source is through,
            smaller ones start again), ``"first_exhausted"``, or
            ``"all_exhausted_without_replacement"`` (smaller ones are absent once through).
        batch_tokens: Tokens of a batch on each device, padding included, in place of
            ``per_device_train_batch_size``: as many rows of like length as fit. ``None``: rows are
            counted.
        overwrite_output_dir: Whether to train into a folder that holds another run; that run's
            checkpoints are removed.
        on_nonfinite: What happens in a step in which the loss of a task is NaN or infinite:
            ``"stop"`` the run, before any parameter is changed; ``"skip_task"`` and make the step
            with the others; ``"skip_step"`` and change nothing. The log counts
            ``nonfinite/{task}``.
        weighting: Entry of the registry of loss weightings that decides how much each loss counts
            in a step, such as ``"uncertainty"`` or ``{"name": "dwa", "temperature": 2.0}``.
            ``None``: the weights of the tasks, as they are. With others these are factors.
        weighting_losses: Where a weighting needs the losses of a step for its weights:
            ``"current"``, from a pass without gradients if the step has several forwards; or
            ``"lagged"``, those of the last step in which each task was present, for free.
        gradient_method: Entry of the registry of gradient methods, which combines the gradients of
            the tasks of a step for the shared parameters, such as ``"cagrad"`` or ``{"name":
            "cagrad", "c": 0.4}``. ``None``: their mean, by the weights of the losses.
        gradient_engine: How the gradient of each task is obtained: ``"grouped"`` (one backward for
            merged batches), ``"streaming"`` (a forward and backward for each task) or
            ``"retained"`` (one forward, a backward for each task). ``None``: the cheapest that
            runs.
        gradient_scope: Shared parameters of which gradients are compared: a number of last layers,
            or a regular expression that is found in their names. The weights hold for all shared
            parameters. ``None``: all.
        gradient_update_every: Steps from one comparison of gradients to the next; those between
            keep its weights, at the cost of a plain step.
        stream_shuffle_rows: Rows of one shard of a stream that are shuffled together, and kept in
            memory for it; 1: as they come.
        head_learning_rate: Learning rate of all heads that have none of their own. ``None``:
            ``learning_rate``.
        layer_decay: Share of each layer of the backbone in the learning rate of the next one, in
            (0, 1]: 1 behind the layers, this for the last layer, and so on down to the embeddings.
        task_patience: Evaluations in a row in which the first metric of a task does not get better,
            after which the task is trained no more. ``None``: tasks go on.
        early_stopping_patience: Likewise, for ``metric_for_best_model`` and the whole run.
        baseline_scores: Value of the first metric of some tasks, trained alone for example, by
            task. Evaluations report ``eval_delta_m`` then, the mean relative difference to them.

    Raises:
        KeyError: If the sampler or the stopping rule is unknown.
        ValueError: If a value is out of range, or something is asked for that would not happen.
    """

    tasks_per_step: int | str = field(default=1, metadata={"help": "Draws a step, or 'all'."})
    batches: str = field(default="separate", metadata={"help": "'separate' or 'merged'."})
    sampler: Entry | None = field(default=None, metadata={"help": "Entry of the samplers."})
    stopping: str = field(default="all_exhausted", metadata={"help": "End of an 'all' epoch."})
    batch_tokens: int | None = field(default=None, metadata={"help": "Tokens a batch, for rows."})
    overwrite_output_dir: bool = field(default=False, metadata={"help": "Replace another run."})
    on_nonfinite: str = field(default="stop", metadata={"help": "stop, skip_task or skip_step."})
    weighting: Entry | None = field(default=None, metadata={"help": "Entry of the weightings."})
    weighting_losses: str = field(default="current", metadata={"help": "'current' or 'lagged'."})
    gradient_method: Entry | None = field(default=None, metadata={"help": "Entry of the methods."})
    gradient_engine: str | None = field(default=None, metadata={"help": "How gradients are got."})
    gradient_scope: int | str | None = field(default=None, metadata={"help": "Which are compared."})
    gradient_update_every: int = field(default=1, metadata={"help": "Steps between comparisons."})
    stream_shuffle_rows: int = field(default=1000, metadata={"help": "Rows shuffled together."})

    head_learning_rate: float | None = field(default=None, metadata={"help": "Rate of heads."})
    task_patience: int | None = field(default=None, metadata={"help": "Evaluations to wait for."})
    early_stopping_patience: int | None = field(default=None, metadata={"help": "Likewise."})
    baseline_scores: dict[str, float] | None = field(default=None, metadata={"help": "By task."})
    layer_decay: float = field(default=1.0, metadata={"help": "Share of a layer in the next's."})

    def __post_init__(self) -> None:
        # Upstream fills in True unless the name ends in "loss"; the trainer knows the metrics.
        self.has_given_direction = self.greater_is_better is not None
        if self.ddp_find_unused_parameters is None:
            # Upstream searches for them in each step. There are none: the strategy sees to heads.
            self.ddp_find_unused_parameters = False
        super().__post_init__()
        self._check_mixture()
        self._check_nonfinite()
        self._check_rates()
        self._check_patience()
        self.check_weighting()
        self.check_gradient_method()
        self._check_supported()

    def _check_mixture(self) -> None:
        if isinstance(self.tasks_per_step, str) and self.tasks_per_step.isdigit():
            self.tasks_per_step = int(self.tasks_per_step)
        is_count = isinstance(self.tasks_per_step, int) and self.tasks_per_step >= 1
        if isinstance(self.tasks_per_step, bool) or not (is_count or self.tasks_per_step == "all"):
            raise ValueError(
                f"`tasks_per_step` must be a whole number from 1 or 'all', but got "
                f"{self.tasks_per_step!r}."
            )
        if self.batches not in _BATCHES:
            raise ValueError(f"`batches` must be one of {_BATCHES}, but got {self.batches!r}.")
        if self.batch_tokens is not None:
            check_positive("batch_tokens", self.batch_tokens, whole=True)
        check_known("stopping rule", self.stopping, STOPPING_RULES)
        if self.tasks_per_step != "all" and self.stopping != "all_exhausted":
            raise ValueError(
                f"`stopping` must be left out unless `tasks_per_step` is 'all', but got "
                f"{self.stopping!r}. The sampler 'round_robin' takes a `stopping` of its own."
            )
        if self.sampler is not None:
            SAMPLERS.build(self.sampler)
            if self.tasks_per_step == "all":
                raise ValueError(
                    f"`sampler` must be left out with `tasks_per_step='all'`, where every source "
                    f"is drawn in each step, but got {self.sampler!r}. Leave it out, or give a "
                    f"number as `tasks_per_step`."
                )

    def _check_nonfinite(self) -> None:
        check_known("rule of `on_nonfinite`", self.on_nonfinite, NONFINITE_RULES)
        if self.fp16 and self.on_nonfinite != "stop":
            raise ValueError(
                f"`on_nonfinite` must be 'stop' with `fp16`, whose scaler cannot pass over a step, "
                f"but got {self.on_nonfinite!r}. Use `bf16`, or leave it out."
            )
        if self.stream_shuffle_rows < 1:
            raise ValueError(
                f"`stream_shuffle_rows` must be at least 1, but got {self.stream_shuffle_rows}."
            )

    def _check_rates(self) -> None:
        if self.head_learning_rate is not None:
            check_positive("head_learning_rate", self.head_learning_rate)
        check_interval("layer_decay", self.layer_decay, "(0, 1]")

    def _check_patience(self) -> None:
        for name in ("task_patience", "early_stopping_patience"):
            patience = getattr(self, name)
            if patience is None:
                continue
            check_positive(name, patience, whole=True)
            if self.eval_strategy == "no":
                raise ValueError(
                    f"`eval_strategy` must be 'steps' or 'epoch' with `{name}`, which counts "
                    f"evaluations, but got 'no'."
                )
        if self.early_stopping_patience is not None and self.metric_for_best_model is None:
            raise ValueError(
                "`metric_for_best_model` must be given with `early_stopping_patience`, such as "
                "'eval_mean', but got None."
            )
        if self.task_patience is not None and self.fp16:
            raise ValueError(
                f"`task_patience` must be left out with `fp16`, whose scaler cannot pass over a "
                f"step without a task, but got {self.task_patience}. Use `bf16`."
            )

    def check_weighting(self) -> None:
        """Raises if the weighting is unknown, or cannot get what it needs.

        Raises:
            KeyError: If it, or a field of it, is unknown.
            ValueError: If something is asked for that would not happen.
        """
        check_known("value of `weighting_losses`", self.weighting_losses, LOSS_TIMES)
        weighting = weighting_of(self.weighting)
        if self.weighting_losses == "lagged" and not weighting.needs_losses:
            raise ValueError(
                f"`weighting_losses` must be left out unless the weights of a step depend on its "
                f"losses, but got 'lagged' with {self.weighting!r}."
            )
        if weighting.needs_evaluation and self.eval_strategy == "no":
            raise ValueError(
                f"`eval_strategy` must be 'steps' or 'epoch' with {self.weighting!r}, a weighting "
                f"that goes by evaluation losses, but got 'no'."
            )

    def check_gradient_method(self) -> None:
        """Raises if the gradient method is unknown, or something with it would not happen.

        Raises:
            KeyError: If it, a field of it, or the engine is unknown.
            ValueError: If something is asked for that would not happen.
        """
        if self.gradient_engine is not None:
            check_known("gradient engine", self.gradient_engine, ENGINES)
        Scope(self.gradient_scope)
        check_positive("gradient_update_every", self.gradient_update_every, whole=True)
        if self.gradient_method is None:
            for name in ("gradient_engine", "gradient_scope", "gradient_update_every"):
                value, nothing = getattr(self, name), 1 if name.endswith("every") else None
                if value != nothing:
                    raise ValueError(
                        f"`{name}` must be left out without a `gradient_method`, but got {value!r}."
                    )
            return
        method = gradient_method_of(self.gradient_method)
        if self.fp16:
            raise ValueError(
                f"`fp16` must be left out with the gradient method {self.gradient_method!r}, "
                f"because its scaled gradients would overflow one task at a time. Use `bf16`."
            )
        if self.torch_empty_cache_steps is not None:
            raise ValueError(
                f"`torch_empty_cache_steps` must be left out with the gradient method "
                f"{self.gradient_method!r}, whose buffers are kept from step to step, but got "
                f"{self.torch_empty_cache_steps}."
            )
        if method.cancels_scale and not weighting_of(self.weighting).is_constant:
            raise ValueError(
                f"`weighting` must be left out with the gradient method {self.gradient_method!r}, "
                f"whose direction does not depend on the scale of the losses, but got "
                f"{self.weighting!r}."
            )

        if method.needs_whole_gradients:
            self._check_gives_whole_gradients()

    def _check_gives_whole_gradients(self) -> None:
        unfit: dict[str, Any] = {}
        if self.gradient_engine is not None and not ENGINES[self.gradient_engine].keeps_gradients:
            unfit["gradient_engine"] = self.gradient_engine
        if self.gradient_scope is not None:
            unfit["gradient_scope"] = self.gradient_scope
        if self.gradient_update_every != 1:
            unfit["gradient_update_every"] = self.gradient_update_every
        for name, value in unfit.items():
            raise ValueError(
                f"`{name}` must be left out with the gradient method {self.gradient_method!r}, "
                f"which needs the gradients of all shared parameters in every step, but got "
                f"{value!r}. Leave it out, or choose a method that needs only inner products of "
                f"gradients, such as 'upgrad'."
            )

    def _check_supported(self) -> None:
        optim = OptimizerNames(self.optim).value
        if optim in ("lomo", "adalomo") or optim.endswith("layerwise"):
            raise ValueError(
                f"`optim` must be one that steps when all gradients of a step are there, because a "
                f"step has several backwards, but got {optim!r}. Choose another one, "
                f"such as 'adamw_torch'."
            )
        for name, nothing, advice in _UNSUPPORTED:
            value = getattr(self, name)
            if value != nothing:
                raise ValueError(
                    f"`{name}` must be {nothing!r} in multi-task training, but got {value!r}. "
                    f"{advice}"
                )
