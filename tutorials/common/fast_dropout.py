"""Dropout that draws bytes: on a CPU, random numbers otherwise take a third of a transformer's training time."""

import torch
from torch import Tensor, nn


class FastDropout(nn.Dropout):
    """nn.Dropout, but on a CPU with a mask of random bytes, so that `p` is rounded to a multiple of 1/256.

    `bernoulli_`, which torch calls, makes a number of 64 bits for every element.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p or x.device.type != "cpu":
            return super().forward(x)
        size, dropped = x.numel(), min(round(256 * self.p), 255)
        words = torch.empty(-(-size // 8), dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
        kept = words.view(torch.uint8)[:size].view(x.shape) >= dropped
        return x * kept.to(x.dtype).mul_(256 / (256 - dropped))


def use_fast_dropout(net: nn.Module) -> None:
    """Put it in the place of every nn.Dropout of a net; dropout inside nn.MultiheadAttention stays as it is."""
    for module in net.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, FastDropout(child.p))
