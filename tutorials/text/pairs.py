"""Sentence pairs as tensors in memory, for nets that translate."""

from collections.abc import Sequence
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.parallel import Pairs
from tutorials.common.run import Run
from tutorials.text.vocabulary import BOS, UNK, Vocabulary, pad

# N pairs, S source tokens, T target tokens


class PairSet(Dataset):
    """All pairs as two padded tensors in memory: a batch is one gather, cut to its longest sentences.

    `hidden` is the share of words that each epoch hides, so that no sentence can be learnt by one word of it;
    `whole_width` leaves all batches as wide as the longest sentence, and calls all that text, as the original does.
    Pairs with more than `longest` tokens on a side are left out: a single one would make its whole batch as wide.
    """

    def __init__(
        self, pairs: Pairs, languages: Sequence[Vocabulary], hidden: float = 0, whole_width: bool = False,
        longest: float = inf, seed: int = 0,
    ) -> None:  # fmt: skip
        both = zip(map(languages[0].encode, pairs.source), map(languages[1].encode, pairs.target), strict=True)
        kept = [rows for rows in both if max(map(len, rows)) <= longest]
        rows = [[row[side] for row in kept] for side in (0, 1)]
        self.source, self.target = map(pad, rows)  # (N, S), (N, T)
        self.lengths = [torch.tensor([len(row) for row in side]) for side in rows]
        self.hidden, self.whole_width, self.seed = hidden, whole_width, seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Begin to draw which words are hidden in this epoch."""
        self.generator = torch.Generator().manual_seed(1000 * self.seed + epoch)

    def __len__(self) -> int:
        return len(self.source)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """Source (N, S), its lengths (N,), what the decoder reads (N, T) and what it should write (N, T)."""
        source, target = self.source[indices], self.target[indices]
        lengths, written = (side[indices] for side in self.lengths)
        if self.whole_width:
            lengths = torch.full_like(lengths, source.shape[1])
        else:
            source, target = source[:, : lengths.max()], target[:, : written.max()]
        inputs = F.pad(target, (1, -1), value=BOS)
        return self.hide(source), lengths, self.hide(inputs), target

    def hide(self, tokens: Tensor) -> Tensor:
        """Put UNK in the place of some words."""
        if not self.hidden:
            return tokens
        chosen = torch.rand(tokens.shape, generator=self.generator) < self.hidden
        return tokens.masked_fill(chosen & (tokens > UNK), UNK)


class Batches(Dataset):
    """Whole batches of pairs of about one length: item i is a batch of `size` pairs, which each epoch draws anew.

    So little of a batch is padding. The pairs that are left over at the end are others in each epoch.
    """

    def __init__(self, pairs: PairSet, size: int, seed: int = 0) -> None:
        self.pairs, self.size, self.seed = pairs, size, seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Put the pairs in a new order, by length but for a bit of chance."""
        self.pairs.set_epoch(epoch)
        generator = torch.Generator().manual_seed(1000 * self.seed + epoch)
        kept = torch.randperm(len(self.pairs), generator=generator)[: len(self) * self.size]
        length = sum(side[kept] for side in self.pairs.lengths) + 3 * torch.rand(len(kept), generator=generator)
        self.rows = kept[length.argsort()].view(-1, self.size)

    def __len__(self) -> int:
        return len(self.pairs) // self.size

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        """A batch, as PairSet gives it."""
        return self.pairs.__getitems__(self.rows[number])


def training_loader(run: Run, pairs: PairSet, by_length: bool) -> DataLoader:
    """Shuffled batches of --batch-size pairs, over all processes together; `by_length` those of `Batches`."""
    options = run.options
    if not by_length:
        return run.loader(pairs, options.batch_size, shuffle=True, collate_fn=tuple)
    processes = run.place.world_size  # each takes a batch of its own
    batches = Batches(pairs, run.place.fit_batch(options.batch_size, len(pairs)) // processes, options.seed)
    return run.loader(batches, processes, shuffle=True, collate_fn=lambda batch: batch[0])
