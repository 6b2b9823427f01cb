"""A trained net with the vocabularies of its two languages: texts in, translations out."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
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
from tutorials.text.decoding import beam, greedy, hypotheses
from tutorials.text.pairs import Collate, encode
from tutorials.text.translation_metrics import pairwise_bleu
from tutorials.text.vocabulary import BOS, PAD, Vocabulary, from_json

# An exponent that flattens the probabilities of hypotheses, which otherwise lie on few; chosen on validation pairs.
FLATTEN = 0.25


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

    def __call__(self, sources: Sequence[str], width: int = 1, alpha: float = 1.0) -> list[str]:
        """The translations by a beam of this `width` and length penalty; width 1 is greedy.

        Sentences of about one length go through the net together: little of them is padding, and they end together.
        """
        search = greedy if width == 1 else partial(beam, width=width, alpha=alpha)
        return [self.languages[1].decode(row) for row in self.search(sources, search)]

    @torch.no_grad()
    def search(self, sources: Sequence[str], search: Callable[[Any, Any, Any, Tensor], list]) -> list:
        """What a search of decoding.py, one that takes `step, state, memory, limits`, finds for each of the sources."""
        self.net.eval()
        order = sorted(range(len(sources)), key=lambda number: len(sources[number]))
        found: list = []
        for source, lengths in self.batches([sources[number] for number in order]):
            state, memory = self.net.start_decoding(source, lengths)
            found += search(self.net.step, state, memory, torch.full_like(lengths, self.limit))
        rows = dict(zip(order, found, strict=True))
        return [rows[number] for number in range(len(sources))]

    def minimum_bayes_risk(self, sources: Sequence[str], count: int) -> list[str]:
        """Of at least `count` hypotheses of each source, from a beam of half that width, the one with the highest
        expected sentence BLEU: the most probable hypothesis can be an outlier, this one agrees best with the others.

        Source: S. Kumar and W. Byrne, "Minimum Bayes-Risk Decoding for Statistical Machine Translation", 2004.
        """
        chosen = []
        for ends in self.search(sources, partial(hypotheses, width=-(-count // 2), count=count)):
            texts = [self.languages[1].decode(tokens) for _, tokens in ends]
            p = (FLATTEN * torch.tensor([log_p for log_p, _ in ends])).softmax(0)
            chosen.append(texts[(pairwise_bleu(texts) @ p.numpy()).argmax()])
        return chosen

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
