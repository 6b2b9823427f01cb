"""Dropout of random bytes: the share that is dropped, the scale of the rest, its gradient, and where it is put."""

import pytest
import torch
from torch import nn

from tutorials.common.fast_dropout import FastDropout, use_fast_dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_drops_a_share_and_scales_the_rest(dtype):
    torch.manual_seed(0)
    x = torch.ones(1001, 999, dtype=dtype, requires_grad=True)  # no multiple of the eight bytes of a word
    y = FastDropout(0.3)(x)
    y.sum().backward()
    y = y.detach()
    dropped = y == 0
    assert float(dropped.float().mean()) == pytest.approx(77 / 256, abs=0.003)
    assert float(y[~dropped].float().mean()) == pytest.approx(256 / 179, rel=0.01) and y.dtype == dtype
    for part in (dropped[:, ::8], dropped[:, 7::8]):  # every byte of a word, the highest, too
        assert float(part.float().mean()) == pytest.approx(77 / 256, abs=0.01)
    assert torch.equal(x.grad, y)  # the same mask


def test_it_follows_from_the_seed_and_differs_from_call_to_call():
    drop, x = FastDropout(0.5), torch.ones(64)
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append((drop(x), drop(x)))
    assert torch.equal(masks[0][0], masks[1][0]) and not torch.equal(*masks[0])


def test_it_does_nothing_in_evaluation_or_for_p_0():
    x = torch.randn(5)
    assert torch.equal(FastDropout(0.5).eval()(x), x) and torch.equal(FastDropout(0.0)(x), x)
    assert FastDropout(1.0)(torch.ones(1000)).count_nonzero() < 30  # p is at most 255/256


def test_it_takes_the_place_of_every_dropout():
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8, 0.25, batch_first=True), 2)
    use_fast_dropout(net)
    kinds = [type(module) for module in net.modules() if isinstance(module, nn.Dropout)]
    assert kinds == [FastDropout] * 6 and net.layers[1].dropout2.p == 0.25
    assert net(torch.randn(2, 3, 8)).shape == (2, 3, 8)
