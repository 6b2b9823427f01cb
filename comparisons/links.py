"""Which parameter of torch holds which of the assignment's, and in what layout."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from comparisons.adapters_sequences import gates

Params = dict[str, np.ndarray]


@dataclass(frozen=True)
class Link:
    """Parameters of the assignment and the one of torch that holds them; `to` and `back` translate the layouts."""

    ours: tuple[str, ...]
    theirs: str
    to: Callable[..., Tensor]
    back: Callable[[Tensor], tuple[Tensor, ...]]


def same(ours: str, theirs: str) -> Link:
    return Link((ours,), theirs, lambda w: w, lambda w: (w,))


def transposed(ours: str, theirs: str) -> Link:
    return Link((ours,), theirs, lambda w: w.T, lambda w: (w.T,))


def gated(ours: str, theirs: str) -> Link:
    """An LSTM's weights or bias: torch has the gates in another order, and the weights transposed."""
    return Link((ours,), theirs, lambda w: turned(gates(w)), lambda w: (gates(turned(w)),))


def turned(w: Tensor) -> Tensor:
    return w.T if w.ndim == 2 else w


def stacked(ours: Iterable[str], theirs: str) -> Link:
    """Weights of queries, keys and values, which torch keeps in one matrix."""
    return Link(tuple(ours), theirs, lambda *w: torch.cat([turned(part) for part in w]), split)


def split(w: Tensor) -> tuple[Tensor, ...]:
    return tuple(turned(part) for part in w.chunk(3))


def linear(layer: str, weight: str, bias: str) -> list[Link]:
    return [transposed(weight, f"{layer}.weight"), same(bias, f"{layer}.bias")]


def norm(layer: str, gamma: str, beta: str) -> list[Link]:
    return [same(gamma, f"{layer}.weight"), same(beta, f"{layer}.bias")]


class Averaging(nn.modules.batchnorm._BatchNorm):
    """torch's batch norm over (N, C) or (N, C, H, W), from averages of zero as in the assignment."""

    seen = 0  # numbers per channel in each batch, which are all of one size

    def __init__(self, features: int):
        super().__init__(features)
        self.running_var.zero_()

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.numel() // x.shape[1]
        return super().forward(x)

    def _check_input_dim(self, x: Tensor) -> None:
        pass

    def make_biased(self) -> None:
        """Turn the average of unbiased variances, from zero on, into that of biased ones."""
        self.running_var *= (self.seen - 1) / self.seen


class Twin(nn.Module):
    """forward(X, y) is the net's loss; `links` say which parameter is which."""

    links: list[Link]

    def take(self, params: Params) -> "Twin":
        """Copy the net's weights."""
        self.to(torch.from_numpy(next(iter(params.values()))).dtype)
        with torch.no_grad():
            for link in self.links:
                values = (torch.from_numpy(params[name]) for name in link.ours)
                self.get_parameter(link.theirs).copy_(link.to(*values))
        return self

    def arrays(self, what: Callable[[nn.Parameter], Tensor]) -> Params:
        """Something of every parameter (its value, its gradient) under the assignment's names and in its layout."""
        found = {}
        for link in self.links:
            values = link.back(what(self.get_parameter(link.theirs)).detach())
            found |= {name: value.numpy() for name, value in zip(link.ours, values, strict=True)}
        return found

    def gradients(self) -> Params:
        return self.arrays(lambda parameter: parameter.grad)

    def averages(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Mean and biased variance of each batch norm, in the net's order."""
        norms = [module for module in self.modules() if isinstance(module, Averaging)]
        for norm in norms:
            norm.make_biased()
        return [(norm.running_mean.numpy(), norm.running_var.numpy()) for norm in norms]


def decoder_links(ours: str, theirs: str) -> list[Link]:
    links = []
    for block, module in (("self", "self_attn"), ("cross", "multihead_attn")):
        links += [stacked([f"{ours}{block}.W{name}" for name in "qkv"], f"{theirs}{module}.in_proj_weight")]
        links += [stacked([f"{ours}{block}.b{name}" for name in "qkv"], f"{theirs}{module}.in_proj_bias")]
        links += linear(f"{theirs}{module}.out_proj", f"{ours}{block}.Wo", f"{ours}{block}.bo")
    for k in (1, 2):
        links += linear(f"{theirs}linear{k}", f"{ours}W{k}", f"{ours}b{k}")
    for k in (1, 2, 3):
        links += norm(f"{theirs}norm{k}", f"{ours}norm{k}.gamma", f"{ours}norm{k}.beta")
    return links
