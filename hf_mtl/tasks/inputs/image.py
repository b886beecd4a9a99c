# SPDX-License-Identifier: Apache-2.0
"""Pictures, through any image processor."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from hf_mtl.tasks.inputs.base import INPUTS, InputKind

__all__ = ["ImageInput"]


def _image_processor(processing_class: Any) -> Any:
    return getattr(processing_class, "image_processor", processing_class)


def _in_colour(image: Any) -> Any:
    """A PIL picture in RGB; anything else as it is."""
    # Not by `mode` alone: a tensor has a method of that name.
    return image.convert("RGB") if hasattr(image, "convert") and image.mode != "RGB" else image


@INPUTS.register("image")
@final
class ImageInput(InputKind):
    """A picture, as PIL or ``[H, W, 3]``; resized and normalised by the image processor.

    Pixels are computed when a row is read: they take far more room than the files.
    """

    roles: ClassVar[tuple[str, ...]] = ("image",)
    on_the_fly: ClassVar[bool] = True

    def check(self, processing_class: Any, *, with_words: bool) -> None:
        if with_words:
            raise ValueError("A task on words must have text as its input, but got pictures.")
        if not hasattr(_image_processor(processing_class), "preprocess"):
            raise TypeError(
                f"`processing_class` must be or hold an image processor for tasks on pictures, "
                f"but got {type(processing_class).__name__}."
            )

    def encode(
        self,
        columns: Mapping[str, Sequence[Any]],
        processing_class: Any,
        *,
        max_length: int | None = None,
        with_words: bool = False,
    ) -> dict[str, list[Any]]:
        del max_length, with_words
        images = list(columns["image"])
        for row_index, image in enumerate(images):
            if image is None or isinstance(image, str | bytes):
                raise ValueError(
                    f"`image` must be a picture in every row, but row {row_index} holds "
                    f"{image!r}. Cast the column with `dataset.cast_column(..., Image())`."
                )
        processed = _image_processor(processing_class)(
            [_in_colour(image) for image in images], return_tensors="pt"
        )
        return {"pixel_values": list(processed["pixel_values"])}

    def collate(
        self, features: Sequence[Mapping[str, Any]], processing_class: Any
    ) -> dict[str, Tensor]:
        del processing_class
        return {name: torch.stack([row[name] for row in features]) for name in features[0]}

    def accepts(self, row: Any) -> bool:
        if isinstance(row, Mapping):
            return "image" in row
        # Everything with pixels: a PIL picture, an array, a tensor.
        return hasattr(row, "size") and not isinstance(row, str)

    def from_raw(self, rows: Sequence[Any]) -> dict[str, list[Any]]:
        return {"image": [row["image"] if isinstance(row, Mapping) else row for row in rows]}
