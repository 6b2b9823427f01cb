"""Votes of short runs of letters: a classifier without a state, to stand beside a recurrent net."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# N batch, T letters, C classes


class Grams(nn.Module):
    """A reader without a state: each run of 1 to `longest` letters has a vote for every class, and the votes are added.

    Runs are numbered by a hash, so that few share a number, and begin and end of a name count as letters.
    Source: Joulin et al., "Bag of tricks for efficient text classification", 2016.
    """

    buckets = 2**16

    def __init__(self, classes: int, longest: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.longest, self.dropout = longest, dropout
        self.votes = nn.EmbeddingBag(self.buckets, classes, mode="sum", padding_idx=0)
        nn.init.zeros_(self.votes.weight)
        self.bias = nn.Parameter(torch.zeros(classes))

    def runs(self, letters: Tensor, lengths: Tensor) -> Tensor:
        """The number of each run of letters of each name, of any order; 0 where there is none."""
        small = torch.where((letters >= 26) & (letters < 52), letters - 26, letters)
        places, end = torch.arange(letters.shape[1] + 2, device=letters.device), lengths[:, None] + 1
        marked = torch.where(places < end, F.pad(small + 3, (1, 1), value=1), 2 * (places == end))  # 1 begin, 2 end
        number, found = torch.zeros_like(marked), []
        for size in range(min(self.longest, marked.shape[1])):
            last = marked[:, size:]
            number = (number[:, : last.shape[1]] * 1_000_003 + last) % 2_147_483_647
            found.append(torch.where(last > 0, number % (self.buckets - 1) + 1, 0))
        return torch.cat(found, 1)

    def forward(self, letters: Tensor, lengths: Tensor) -> Tensor:
        runs, kept = self.runs(letters, lengths), 1.0
        if self.training:
            kept = 1 - self.dropout
            runs = runs * (torch.rand(runs.shape, device=runs.device) < kept)
        return self.bias + self.votes(runs) / kept
