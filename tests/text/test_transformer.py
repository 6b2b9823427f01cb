"""What the transformer tutorials share: stepping equals torch's own layers, and nothing looks ahead."""

import pytest
import torch
from torch import nn

from tutorials.text.decoding import select
from tutorials.text.transformer import decoder_memory, decoder_step, encoder_step
from tutorials.translation import PositionalEncoding


def causal_mask(length: int) -> torch.Tensor:
    return torch.ones(length, length, dtype=torch.bool).triu(1)


OPTIONS = dict(d_model=12, nhead=3, dim_feedforward=20, batch_first=True, dtype=torch.float64)


def shuffled(net: nn.Module) -> nn.Module:
    """The net with every weight random, biases and gains too, in evaluation mode."""
    generator = torch.Generator().manual_seed(5)
    for weight in net.parameters():
        weight.data = torch.randn(weight.shape, generator=generator, dtype=weight.dtype) / 3
    return net.eval()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("pieces", [(7,), (1,) * 7, (3, 1, 3)])
def test_an_encoder_in_steps_is_the_encoder(norm_first, pieces):
    layer = nn.TransformerEncoderLayer(**OPTIONS, norm_first=norm_first, activation="gelu")
    net = shuffled(nn.TransformerEncoder(layer, 2, nn.LayerNorm(12, dtype=torch.float64), enable_nested_tensor=False))
    x = random(5, 7, 12)
    expected = net(x, mask=causal_mask(7))
    outs, past = [], None
    for piece in x.split(pieces, dim=1):
        out, past = encoder_step(net, piece, past)
        outs.append(out)
    torch.testing.assert_close(torch.cat(outs, 1), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_decoder_in_steps_is_the_decoder_and_rows_can_be_chosen(norm_first):
    net = shuffled(nn.TransformerDecoder(nn.TransformerDecoderLayer(**OPTIONS, norm_first=norm_first), 2))
    x, memory = random(4, 6, 12), random(4, 5, 12, seed=1)
    padding = torch.arange(5) >= torch.tensor([5, 3, 4, 1])[:, None]
    expected = net(x, memory, tgt_mask=causal_mask(6), memory_key_padding_mask=padding)
    kept, past = decoder_memory(net, memory, padding), None
    first, past = decoder_step(net, x[:, :2], past, kept)
    torch.testing.assert_close(first, expected[:, :2], rtol=1e-10, atol=1e-12)
    rows = torch.tensor([2, 0, 2])
    past, kept = select(past, rows), select(kept, rows)
    for place in range(2, 6):
        out, past = decoder_step(net, x[rows, place : place + 1], past, kept)
        torch.testing.assert_close(out, expected[rows, place : place + 1], rtol=1e-10, atol=1e-12)


def test_maps_are_the_weights_of_attention_and_change_nothing():
    layer = nn.TransformerEncoderLayer(**OPTIONS)
    net, x = shuffled(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)), random(5, 7, 12)
    maps = []
    out, _ = encoder_step(net, x, maps=maps)
    torch.testing.assert_close(out, encoder_step(net, x)[0], rtol=1e-10, atol=1e-12)
    _, weights = net.layers[0].self_attn(x, x, x, attn_mask=causal_mask(7), average_attn_weights=False)
    torch.testing.assert_close(maps[0], weights, rtol=1e-10, atol=1e-12)
    assert len(maps) == 2 and (maps[1].triu(1) == 0).all()


def test_positions():
    positions = PositionalEncoding(6, 0.0, max_len=9)
    table = positions(torch.zeros(1, 9, 6))[0]
    assert table[0].tolist() == [0, 1, 0, 1, 0, 1]
    angle = torch.tensor(4 / 10_000 ** (2 / 6))
    torch.testing.assert_close(table[4, 2:4], torch.stack([angle.sin(), angle.cos()]))
    torch.testing.assert_close(positions(torch.zeros(1, 2, 6), start=5)[0], table[5:7])
    with pytest.raises(IndexError, match="position 11 is beyond the 9"):
        positions(torch.zeros(1, 4, 6), start=7)
