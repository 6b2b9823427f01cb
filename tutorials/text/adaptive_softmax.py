"""Words as vectors, and the probabilities of the next word, cheap for many words, most of them rare."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# N sentences, T tokens, M = N T, E width, V words, numbered from the most frequent one


class AdaptiveWords(nn.AdaptiveLogSoftmaxWithLoss):
    """Full rows for frequent words, rows of a quarter of the width for all others, the same for input and output.

    Two softmaxes, whose probabilities add up to exactly one: first among the frequent words and "another word", then
    among the others if need be, so that most tokens cost `frequent` products instead of V.
    Untied, the input has a table of its own.
    Sources: E. Grave et al., "Efficient softmax approximation for GPUs", 2017; tied as in A. Baevski and M. Auli,
    "Adaptive Input Representations", 2019.
    """

    def __init__(self, size: int, width: int, frequent: int, tied: bool = True) -> None:
        super().__init__(width, size, [frequent], div_value=4.0, head_bias=True)
        self.frequent = frequent
        rise, rare = (layer.weight for layer in self.tail[0])  # (E / 4, E) and (V - frequent, E / 4)
        nn.init.normal_(self.head.weight, std=width**-0.5)
        nn.init.zeros_(self.head.bias)
        nn.init.orthogonal_(rise)
        nn.init.normal_(rare, std=(width // 4) ** -0.5)
        self.table = None if tied else nn.Embedding(size, width)
        if self.table:
            nn.init.normal_(self.table.weight, std=width**-0.5)

    def embed(self, tokens: Tensor) -> Tensor:
        """(N, T) -> (N, T, E)."""
        if self.table:
            return self.table(tokens)
        rise, rare = (layer.weight for layer in self.tail[0])
        is_rare = tokens >= self.frequent
        frequent = F.embedding(tokens.clamp(max=self.frequent - 1), self.head.weight[: self.frequent])
        others = F.embedding(tokens[is_rare] - self.frequent, rare) @ rise
        return frequent.masked_scatter(is_rare[..., None], others.to(frequent.dtype))

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        """The mean of -log p of the targets: (M, E) and (M,) -> (); `log_prob(x)` has all words' log p (M, V)."""
        rare, (lower, out) = targets >= self.frequent, self.tail[0]
        nats = SummedCrossEntropy.apply(x, self.head.weight, self.head.bias, targets.clamp(max=self.frequent))
        nats = nats + SummedCrossEntropy.apply(lower(x[rare]), out.weight, None, targets[rare] - self.frequent)
        return nats / len(targets)

    def nats(self, x: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (M, E) and (M,) -> (M,)."""
        return -self(x, targets).output


class SummedCrossEntropy(torch.autograd.Function):
    """cross_entropy(linear(x, weight, bias), targets, reduction="sum") and its gradients, a few rows at a time.

    The scores (M, V) of all rows would fill the memory and be written and read many times over; those of a few rows
    stay in the processor's cache.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        """(M, E), (V, E), (V,), (M,) -> ()."""
        rows = max(16, 2**20 // len(weight))
        total, db = weight.new_zeros(()), weight.new_zeros(len(weight))
        dx, dw = torch.empty_like(x), torch.zeros_like(weight)
        for part, own, slot in zip(x.split(rows), targets.split(rows), dx.split(rows), strict=True):
            scores = F.linear(part, weight, bias)
            p = scores.to(weight.dtype).softmax(1)  # the scores may be in half precision
            total -= p.gather(1, own[:, None]).clamp(min=1e-37).log().sum()
            p[torch.arange(len(own), device=own.device), own] -= 1
            db += p.sum(0)
            p = p.to(scores.dtype)
            slot.copy_(p @ weight)
            dw += p.T @ part.to(p.dtype)
        ctx.save_for_backward(dx, dw, None if bias is None else db)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        dx, dw, db = ctx.saved_tensors
        return dx * grad, dw * grad, None if db is None else db * grad, None
