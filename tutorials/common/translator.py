"""A trained net with the vocabularies of its two languages: texts in, translations out."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from tutorials.common.decoding import beam, greedy
from tutorials.common.vocabulary import Vocabulary, pad


class Net(Protocol):
    """What a net that translates can do: read N sources, and write the next token of each (see decoding.py)."""

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[Any, Any]:
        """Sources (N, S) padded, their lengths (N,) -> the first state and the memory of decoding."""

    def step(self, tokens: Tensor, state: Any, memory: Any) -> tuple[Tensor, Any]:
        """Scores (M, V) after the tokens (M,), and the next state."""


class Translator:
    """Translates with `net` from the first of `languages` to the second, in at most `limit` tokens a sentence."""

    def __init__(self, net: Net, languages: Sequence[Vocabulary], limit: int) -> None:
        self.net, self.languages, self.limit = net, languages, limit

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def batches(self, sources: Sequence[str], size: int = 500) -> Iterator[tuple[Tensor, Tensor]]:
        """Sources (N, S) and their lengths (N,), on the net's device."""
        for start in range(0, len(sources), size):
            rows = [self.languages[0].encode(text) for text in sources[start : start + size]]
            yield pad(rows).to(self.device), torch.tensor([len(row) for row in rows], device=self.device)

    @torch.no_grad()
    def __call__(self, sources: Sequence[str], width: int = 1, alpha: float = 1.0) -> list[str]:
        """The translations by a beam of this `width` and length penalty; width 1 is greedy."""
        self.net.eval()
        written: list[list[int]] = []
        for source, lengths in self.batches(sources):
            state, memory = self.net.encode(source, lengths)
            limits = torch.full_like(lengths, self.limit)
            if width == 1:
                written += greedy(self.net.step, state, memory, limits)
            else:
                written += beam(self.net.step, state, memory, limits, width, alpha)
        return [self.languages[1].decode(row) for row in written]
