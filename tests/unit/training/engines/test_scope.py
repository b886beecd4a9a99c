# SPDX-License-Identifier: Apache-2.0
"""Of which parameters gradients are compared."""

import pytest

from hf_mtl.training.engines import Scope

NAMES = [
    "backbone.embeddings.word.weight",
    "backbone.encoder.layer.0.dense.weight",
    "backbone.encoder.layer.1.dense.weight",
    "backbone.encoder.layer.1.lora_A.weight",
    "backbone.encoder.layer.10.dense.weight",
    "backbone.stages.0.norm.weight",
    "backbone.pooler.dense.weight",
]


def test_without_a_scope_all_are_compared():
    assert Scope().names(NAMES) == NAMES


def test_last_layers_are_those_of_the_deepest_stack_by_number():
    assert Scope(1).names(NAMES) == ["backbone.encoder.layer.10.dense.weight"]
    assert Scope(2).names(NAMES) == [
        "backbone.encoder.layer.1.dense.weight",
        "backbone.encoder.layer.1.lora_A.weight",
        "backbone.encoder.layer.10.dense.weight",
    ]


def test_a_text_is_a_pattern_of_names():
    assert Scope("lora_").names(NAMES) == ["backbone.encoder.layer.1.lora_A.weight"]
    assert Scope(r"layer\.(0|10)\.").names(NAMES) == [NAMES[1], NAMES[4]]


@pytest.mark.parametrize("entry", [0, -1, True, 1.5, ["a"]])
def test_anything_else_is_refused(entry):
    with pytest.raises(ValueError, match="`gradient_scope` must be a number of layers from 1"):
        Scope(entry)


def test_a_broken_pattern_is_refused():
    with pytest.raises(ValueError, match=r"`gradient_scope` must be a regular expression, .*'\('"):
        Scope("(")


def test_a_scope_with_nothing_in_it_is_refused():
    with pytest.raises(ValueError, match=r"but 'adapter' takes in none of 7, such as \['backbone"):
        Scope("adapter").check(NAMES)


def test_of_equally_deep_stacks_the_last_one_is_taken():
    names = [f"backbone.{part}.{layer}.weight" for part in ("text", "vision") for layer in (0, 1)]
    assert Scope(1).names(names) == ["backbone.vision.1.weight"]


@pytest.mark.parametrize("encoder_layers", [2, 6])
def test_of_an_encoder_and_a_decoder_the_last_layers_are_the_decoders(encoder_layers):
    encoder = [f"backbone.encoder.layers.{layer}.fc.weight" for layer in range(encoder_layers)]
    decoder = [f"backbone.decoder.layers.{layer}.fc.weight" for layer in range(2)]
    for names in (encoder + decoder, decoder + encoder):
        assert Scope(1).names(names) == ["backbone.decoder.layers.1.fc.weight"]


def test_more_layers_than_there_are_is_refused():
    Scope(3).check(NAMES)
    with pytest.raises(
        ValueError,
        match=r"`gradient_scope` must be at most 3, .* `backbone\.encoder\.layer` .* but got 99",
    ):
        Scope(99).check(NAMES)


def test_a_scope_says_what_it_takes_in():
    assert Scope().described(NAMES) is None
    assert Scope(2).described(NAMES) == "the last 2 of 3 layers of backbone.encoder.layer"
    assert Scope("lora_").described(NAMES) == "parameters with 'lora_' in their names"
