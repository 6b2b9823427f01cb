"""A bag of character n-grams: a linear classifier to stand beside an RNN."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# N batch, T letters, K n-grams of a name, C classes


class CharNgrams(nn.Module):
    """The sum of a vector of logits for each n-gram of 1 to `longest` letters, which share vectors by their hash.

    Source: Joulin et al., "Bag of tricks for efficient text classification", 2016.
    """

    buckets = 65_521  # a prime

    def __init__(self, classes: int, longest: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.longest, self.dropout = longest, dropout
        self.logits = nn.EmbeddingBag(self.buckets + 1, classes, mode="sum", padding_idx=0)
        nn.init.zeros_(self.logits.weight)

    def indices(self, letters: Tensor, lengths: Tensor) -> Tensor:
        """The bucket of each n-gram (N, K), regardless of case; 0 where there is none."""
        letters = torch.where((letters >= 26) & (letters < 52), letters - 26, letters)
        position, end = torch.arange(letters.shape[1] + 2, device=letters.device), lengths[:, None] + 1
        marked = F.pad(letters + 3, (1, 1), value=1)  # 1 is the beginning, 2 the end of a name
        marked = marked.masked_fill(position == end, 2).masked_fill(position > end, 0)
        buckets = []
        for n in range(1, min(self.longest, marked.shape[1]) + 1):
            windows = marked.unfold(1, n, 1)  # (N, T + 3 - n, n)
            hashed = (windows * 1009 ** torch.arange(n, device=letters.device)).sum(2) % self.buckets + 1
            buckets.append(hashed.where(windows[..., -1] > 0, 0))
        return torch.cat(buckets, 1)

    def forward(self, letters: Tensor, lengths: Tensor) -> Tensor:
        indices = self.indices(letters, lengths)
        if not self.training:
            return self.logits(indices)
        kept = torch.rand(indices.shape, device=indices.device) >= self.dropout
        return self.logits(indices * kept) / (1 - self.dropout)
