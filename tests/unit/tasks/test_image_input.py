# SPDX-License-Identifier: Apache-2.0
"""Picture input: pixels, through an image processor."""

import numpy as np
import pytest
from PIL import Image
from transformers import ViTImageProcessor

from hf_mtl.tasks import INPUTS


@pytest.fixture
def image():
    return INPUTS.build("image")


@pytest.fixture
def processor():
    return ViTImageProcessor(
        size={"height": 8, "width": 8}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )


def test_pictures_in_grey_become_three_channels(image, processor):
    white = Image.fromarray(np.full((16, 16), 255, dtype=np.uint8))
    features = image.encode({"image": [white]}, processor)
    assert features["pixel_values"][0].shape == (3, 8, 8)
    assert features["pixel_values"][0].unique().tolist() == [1.0]  # (1 - mean) / std


def test_pictures_are_stacked(image, processor):
    picture = Image.new("RGB", (16, 16))
    features = image.encode({"image": [picture, picture]}, processor)
    rows = [{"pixel_values": pixels} for pixels in features["pixel_values"]]
    assert image.collate(rows, processor)["pixel_values"].shape == (2, 3, 8, 8)


def test_raw_inputs_are_pictures_and_mappings(image):
    picture = Image.new("RGB", (2, 2))
    assert image.accepts(picture)
    assert not image.accepts("a text")
    assert image.from_raw([picture, {"image": picture}]) == {"image": [picture, picture]}


@pytest.mark.parametrize("value", [None, "cat.png"])
def test_a_row_without_picture_is_named(image, processor, value):
    with pytest.raises(ValueError, match="`image` must be a picture in every row, but row 0 holds"):
        image.encode({"image": [value]}, processor)


def test_what_is_no_image_processor_is_refused(image):
    with pytest.raises(TypeError, match="must be or hold an image processor"):
        image.check(object(), with_words=False)
