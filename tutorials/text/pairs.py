"""Sentence pairs as numbers, and batches of them, for nets that translate."""

from collections.abc import Callable, Sequence
from math import inf

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.parallel import Pairs
from tutorials.common.run import Run
from tutorials.text.vocabulary import Vocabulary

# N pairs, S source tokens, T target tokens

Pair = tuple[Tensor, Tensor]  # source (S,), target (T,)
Collate = Callable[[Sequence[Pair]], tuple[Tensor, ...]]


def encode(pairs: Pairs, languages: Sequence[Vocabulary], longest: float = inf) -> list[Pair]:
    """The numbers of each pair's tokens, each side with EOS.

    Pairs with more than `longest` tokens on a side are left out: a single one would make its whole batch as wide.
    """
    both = zip(map(languages[0].encode, pairs.source), map(languages[1].encode, pairs.target), strict=True)
    return [(torch.tensor(s), torch.tensor(t)) for s, t in both if max(len(s), len(t)) <= longest]


class Batches(Dataset):
    """Whole batches of pairs of about one length: item i is a batch of `size` pairs, which each epoch draws anew.

    Such batches hold little padding. Which pairs are left over at the end changes from epoch to epoch.
    """

    def __init__(self, pairs: Sequence[Pair], size: int, seed: int = 0) -> None:
        self.pairs, self.size, self.seed = pairs, size, seed
        self.lengths = torch.tensor([len(source) + len(target) for source, target in pairs])
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Put the pairs in a new order, by length but for a bit of chance."""
        generator = torch.Generator().manual_seed(1000 * self.seed + epoch)
        kept = torch.randperm(len(self.pairs), generator=generator)[: len(self) * self.size]
        length = self.lengths[kept] + 3 * torch.rand(len(kept), generator=generator)
        self.rows = kept[length.argsort()].view(-1, self.size)

    def __len__(self) -> int:
        return len(self.pairs) // self.size

    def __getitem__(self, number: int) -> list[Pair]:
        return [self.pairs[i] for i in self.rows[number].tolist()]


def training_loader(run: Run, pairs: Sequence[Pair], collate: Collate, by_length: bool) -> DataLoader:
    """Shuffled batches of --batch-size pairs, over all processes together; `by_length` those of `Batches`."""
    options = run.options
    if not by_length:
        return run.loader(pairs, options.batch_size, shuffle=True, collate_fn=collate)
    processes = run.place.world_size  # each takes a batch of its own
    batches = Batches(pairs, run.place.fit_batch(options.batch_size, len(pairs)) // processes, options.seed)
    return run.loader(batches, processes, shuffle=True, collate_fn=lambda batch: collate(batch[0]))
