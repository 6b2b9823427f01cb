"""A trained net with the vocabularies of its two languages: texts in, translations out."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from data.parallel import Pairs
from tutorials.common import checkpoint
from tutorials.text.decoding import beam, greedy
from tutorials.text.pairs import Collate, encode
from tutorials.text.vocabulary import BOS, PAD, Vocabulary, from_json


class Net(Protocol):
    """What a net that translates can do: learn, read N sources, and write the next token of each (see decoding.py)."""

    def __call__(self, source: Tensor, lengths: Tensor, inputs: Tensor, target_mask: Tensor) -> Tensor:
        """Logits (M, V) at the M positions of `target_mask` (N, T), after the tokens that `inputs` (N, T) give."""

    def attention(self, source: Tensor, lengths: Tensor, inputs: Tensor) -> Tensor:
        """Where each place of `inputs` looks in the source: (N, T, S)."""

    def start_decoding(self, source: Tensor, lengths: Tensor) -> tuple[Any, Any]:
        """Sources (N, S) padded, their lengths (N,) -> the first state and the memory of decoding."""

    def step(self, tokens: Tensor, state: Any, memory: Any) -> tuple[Tensor, Any]:
        """Scores (M, V) after the tokens (M,), and the next state."""


class Translator:
    """Translates with `net` from the first of `languages` to the second, in at most `limit` tokens a sentence.

    With `padded_to`, all sources are padded to as many tokens, and the net reads the padding as if it were words.
    """

    def __init__(self, net: Net, languages: Sequence[Vocabulary], limit: int, padded_to: int = 0) -> None:
        self.net, self.languages, self.limit, self.padded_to = net, languages, limit, padded_to

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def batches(self, sources: Sequence[str], size: int = 250) -> Iterator[tuple[Tensor, Tensor]]:
        """Sources (N, S) and their lengths (N,), on the net's device."""
        for start in range(0, len(sources), size):
            rows = [torch.tensor(self.languages[0].encode(text)) for text in sources[start : start + size]]
            source, lengths = pad_sequence(rows, True, PAD), torch.tensor([len(row) for row in rows])
            if self.padded_to:
                source = F.pad(source, (0, self.padded_to - source.shape[1]), value=PAD)
                lengths = torch.full_like(lengths, self.padded_to)
            yield source.to(self.device), lengths.to(self.device)

    @torch.no_grad()
    def __call__(self, sources: Sequence[str], width: int = 1, alpha: float = 1.0) -> list[str]:
        """The translations by a beam of this `width` and length penalty; width 1 is greedy.

        Sentences of about one length go through the net together: little of them is padding, and they end together.
        """
        self.net.eval()
        order = sorted(range(len(sources)), key=lambda number: len(sources[number]))
        written: list[list[int]] = []
        for source, lengths in self.batches([sources[number] for number in order]):
            state, memory = self.net.start_decoding(source, lengths)
            limits = torch.full_like(lengths, self.limit)
            if width == 1:
                written += greedy(self.net.step, state, memory, limits)
            else:
                written += beam(self.net.step, state, memory, limits, width, alpha)
        rows = dict(zip(order, written, strict=True))
        return [self.languages[1].decode(rows[number]) for number in range(len(sources))]

    @torch.no_grad()
    def loss(self, pairs: Pairs, collate: Collate, batch_size: int = 500) -> float:
        """The mean loss of a token of the references, EOS among them, in nats, without label smoothing."""
        net, total, count = self.net.eval(), 0.0, 0
        for batch in DataLoader(encode(pairs, self.languages), batch_size, collate_fn=collate):
            source, lengths, inputs, target = (part.to(self.device) for part in batch)
            target_mask = target != PAD
            logits = net(source, lengths, inputs, target_mask)
            total += F.cross_entropy(logits, target[target_mask], reduction="sum").item()
            count += target_mask.sum().item()
        return total / count

    @torch.no_grad()
    def attention(self, source: str, output: str) -> Tensor:
        """Where the net looks in the source (S tokens and EOS) as it writes the output: shares (T, S)."""
        return self.net.eval().attention(*self.encode(source, output))[0].cpu()

    def encode(self, source: str, output: str) -> tuple[Tensor, Tensor, Tensor]:
        """The source (1, S), its length (1,) and what the decoder reads as it writes the output (1, T)."""
        read, written = (
            torch.tensor([words.encode(text)], device=self.device)
            for words, text in zip(self.languages, (source, output), strict=True)
        )
        return read, torch.tensor([read.shape[1]], device=self.device), F.pad(written, (1, -1), value=BOS)


@checkpoint.fits()
def load_translator(path: Path, tutorial: str, kind: Callable[..., Net]) -> tuple[Translator, SimpleNamespace]:
    """The translator that a run of the tutorial saved, on the CPU, and that run's options; `kind` builds the net from
    the sizes of both vocabularies and the options."""
    weights, about = checkpoint.load_best(path, tutorial)
    options, languages = SimpleNamespace(**about["options"]), [from_json(words) for words in about["languages"]]
    net = kind(*map(len, languages), options)
    net.load_state_dict(weights)
    return Translator(net, languages, about["limit"]), options
