"""Sentence pairs as numbers, and batches of them, for nets that translate."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data import StudyError
from data.parallel import Pairs
from tutorials.common.run import Run
from tutorials.text.vocabulary import Subwords, Vocabulary

# N pairs, S source tokens, T target tokens

Pair = tuple[Tensor, Tensor]  # source (S,), target (T,)
Collate = Callable[[Sequence[Pair]], tuple[Tensor, ...]]


def encode(pairs: Pairs, languages: Sequence[Vocabulary]) -> list[Pair]:
    """The numbers of each pair's tokens, each side with EOS."""
    both = zip(map(languages[0].encode, pairs.source), map(languages[1].encode, pairs.target), strict=True)
    return [(torch.tensor(source), torch.tensor(target)) for source, target in both]


def encode_with_dropout(pairs: Pairs, languages: Sequence[Subwords], p: float, seed: int) -> list[Pair]:
    """As `encode`, but with another segmentation into subwords: each merge is left out with probability p.

    BPE-dropout: a net that sees a word in many parts learns what the parts mean.
    Source: I. Provilkov et al., "BPE-Dropout: Simple and Effective Subword Regularization", ACL, 2020.
    """
    source = languages[0].encode_with_dropout(pairs.source, p, 2 * seed)
    target = languages[1].encode_with_dropout(pairs.target, p, 2 * seed + 1)
    return [(torch.tensor(s), torch.tensor(t)) for s, t in zip(source, target, strict=True)]


def swap_half(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """Half of the pairs, at random, with source and target swapped, for a net that learns both directions at once.

    The paper gives each pair in both directions; here an epoch stays as long as it was.
    Source: L. Ding et al., "Improving Neural Machine Translation by Bidirectional Training", EMNLP, 2021.
    """
    swapped = torch.rand(len(pairs), generator=torch.Generator().manual_seed(seed)) < 0.5
    return [pair[::-1] if swap else pair for pair, swap in zip(pairs, swapped.tolist(), strict=True)]


def leave_out_long(run: Run, pairs: Pairs, languages: Sequence[Vocabulary]) -> Pairs:
    """The pairs of at most --longest tokens on each side: a single longer one would make its whole batch as wide."""
    longest = run.options.longest
    lengths = [max(map(len, sides)) for sides in encode(pairs, languages)]
    kept = pairs.part([number for number, length in enumerate(lengths) if length <= longest])
    if not kept.source:
        raise StudyError(f"--longest {longest}: every training pair has more tokens. Give at least {min(lengths)}")
    if left := len(pairs) - len(kept):
        run.say(f"{left:,} training pairs have more than {longest} tokens: left out")
    return kept


class Batches(Dataset):
    """Whole batches of pairs of about one length: item i is a batch of `size` pairs, which each epoch draws anew.

    Such batches hold little padding. Which pairs are left over at the end changes from epoch to epoch; with `draw`, a
    function of the epoch and a random seed, the pairs themselves do, too.
    """

    def __init__(
        self, pairs: Sequence[Pair], size: int, seed: int = 0, draw: Callable[[int, int], Sequence[Pair]] | None = None
    ) -> None:
        self.pairs, self.size, self.seed, self.draw = pairs, size, seed, draw
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Put the pairs in a new order, by length but for a bit of chance."""
        generator = torch.Generator().manual_seed(seed := 1000 * self.seed + epoch)
        if self.draw:
            self.pairs = self.draw(epoch, seed)
        kept = torch.randperm(len(self.pairs), generator=generator)[: len(self) * self.size]
        length = torch.tensor([sum(map(len, self.pairs[number])) for number in kept.tolist()])
        length = length + 3 * torch.rand(len(kept), generator=generator)
        self.rows = kept[length.argsort()].view(-1, self.size)

    def __len__(self) -> int:
        return len(self.pairs) // self.size

    def __getitem__(self, number: int) -> list[Pair]:
        return [self.pairs[i] for i in self.rows[number].tolist()]


def training_loader(
    run: Run,
    pairs: Sequence[Pair],
    collate: Collate,
    by_length: bool,
    draw: Callable[[int, int], Sequence[Pair]] | None = None,
) -> DataLoader:
    """Shuffled batches of --batch-size pairs, over all processes together; `by_length` those of `Batches`, which can
    `draw` the pairs anew."""
    options = run.options
    if not by_length:
        return run.loader(pairs, options.batch_size, shuffle=True, collate_fn=collate)
    processes = run.place.world_size  # each takes a batch of its own
    batches = Batches(pairs, run.place.fit_batch(options.batch_size, len(pairs)) // processes, options.seed, draw)
    return run.loader(batches, processes, shuffle=True, collate_fn=lambda batch: collate(batch[0]))
