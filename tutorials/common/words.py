"""Words as vectors, and the probabilities of the next word; a cheap way for many words, most of them rare."""

import torch.nn.functional as F
from torch import Tensor, nn

# N sentences, T tokens, M = N T, E width, V words, numbered from the most frequent one


class Words(nn.Module):
    """Words as vectors, and the probabilities of the next word: a table of either kind, as in the original."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(size, width)
        self.out = nn.Linear(width, size)
        for weight in (self.table.weight, self.out.weight):
            nn.init.uniform_(weight, -0.1, 0.1)
        nn.init.zeros_(self.out.bias)

    def embed(self, tokens: Tensor) -> Tensor:
        return self.table(tokens)  # (N, T, E)

    def nats(self, x: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (M, E) and (M,) -> (M,)."""
        return F.cross_entropy(self.out(x), targets, reduction="none")

    def log_prob(self, x: Tensor) -> Tensor:
        return self.out(x).log_softmax(-1)  # (M, V)


class AdaptiveWords(nn.AdaptiveLogSoftmaxWithLoss):
    """Full rows for frequent words, rows of a quarter of the width for all others, the same for input and output.

    It is an exact softmax: first among the frequent words and "another word", then among the others if need be, so
    that most tokens cost `frequent` products instead of V. Sources: E. Grave et al., "Efficient softmax approximation
    for GPUs", 2017; tied as in A. Baevski and M. Auli, "Adaptive Input Representations", 2019.
    """

    def __init__(self, size: int, width: int, frequent: int) -> None:
        super().__init__(width, size, [frequent], div_value=4.0, head_bias=True)
        self.frequent = frequent
        rise, rare = (layer.weight for layer in self.tail[0])  # (E / 4, E) and (V - frequent, E / 4)
        nn.init.normal_(self.head.weight, std=width**-0.5)
        nn.init.zeros_(self.head.bias)
        nn.init.orthogonal_(rise)
        nn.init.normal_(rare, std=(width // 4) ** -0.5)

    def embed(self, tokens: Tensor) -> Tensor:
        """(N, T) -> (N, T, E)."""
        rise, rare = (layer.weight for layer in self.tail[0])
        is_rare = tokens >= self.frequent
        frequent = F.embedding(tokens.clamp(max=self.frequent - 1), self.head.weight[: self.frequent])
        return frequent.masked_scatter(is_rare[..., None], F.embedding(tokens[is_rare] - self.frequent, rare) @ rise)

    def nats(self, x: Tensor, targets: Tensor) -> Tensor:
        """-log p of each target: (M, E) and (M,) -> (M,); `log_prob(x)` has all words' log p (M, V)."""
        return -self(x, targets).output
