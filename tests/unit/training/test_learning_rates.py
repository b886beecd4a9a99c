# SPDX-License-Identifier: Apache-2.0
"""Groups of an optimizer by layer and head."""

import pytest
import torch
from tiny_backbones import backbone_of
from torch import nn

from hf_mtl.models.parameters import layer_of, layer_shares


def test_a_parameter_knows_its_layer():
    assert layer_of("encoder.layer.3.attention.output.dense.weight") == ("encoder.layer", 3)
    assert layer_of("h.0.mlp.c_fc.weight") == ("h", 0)
    assert layer_of("pooler.dense.weight") is None


class Small(nn.Module):
    """Embeddings, three layers, an embedding that stands behind them, a norm."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(3, 2)
        self.words_norm = nn.LayerNorm(2)
        self.layer = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        self.positions = nn.Embedding(3, 2)
        self.norm = nn.LayerNorm(2)


def test_shares_of_the_rate_fall_from_the_last_layer_down():
    assert layer_shares(Small(), 0.5) == {
        "words.weight": 1 / 16,
        "words_norm.weight": 1 / 16,
        "words_norm.bias": 1 / 16,
        "layer.0.weight": 1 / 8,
        "layer.0.bias": 1 / 8,
        "layer.1.weight": 1 / 4,
        "layer.1.bias": 1 / 4,
        "layer.2.weight": 1 / 2,
        "layer.2.bias": 1 / 2,
        "positions.weight": 1 / 16,
        "norm.weight": 1,
        "norm.bias": 1,
    }


@pytest.mark.parametrize("family", ["bert", "gpt2", "deberta-v2", "t5", "vit", "albert"])
def test_every_family_has_embeddings_below_its_layers(family):
    backbone = backbone_of(family)
    shares = layer_shares(backbone, 0.5)
    assert shares.keys() == dict(backbone.named_parameters()).keys()
    embedding = backbone.get_input_embeddings()
    lowest = min(shares.values())
    owned = {
        shares[name]
        for name, parameter in backbone.named_parameters()
        if any(parameter is each for each in embedding.parameters())
    }
    assert owned == {lowest}
    assert torch.tensor(list(shares.values())).unique().numel() >= 3
