"""How well a language model guesses a text: the cost of each token, and what that makes for a character."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tutorials.text.tokenizer import END

# N windows, T tokens of each, E width, n tokens of a text that are guessed


@torch.no_grad()
def read(net: Any, batches: Iterable[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The nats (n,) of each target that counts, and the state (n, E) of the net from which it was guessed.

    `batches` are inputs, targets and which of these count (N, T). The net has `encode` and `words`.
    """
    net.eval()
    device, nats, states = next(net.parameters()).device, [], []
    for inputs, targets, counted in batches:
        x = net.encode(inputs.to(device))[counted.to(device)]
        nats.append(net.words.nats(x, targets[counted].to(device)).cpu())
        states.append(x.cpu())
    return torch.cat(nats).double(), torch.cat(states)


def measure(net: Any, tokens: Tensor, rows: int = 32, share: slice = slice(None)) -> tuple[Tensor, Tensor]:
    """Nats and states of a text's tokens, all but the first: each once, with at least half a window before it, except
    at the very beginning. With a `share` of the half windows, those of its tokens alone."""
    half, last = net.length // 2, len(tokens) - 2
    parts = torch.arange(-(-(last + 1) // half))[:, None] * half  # where each half window that is counted begins
    places = (parts - half).clamp(min=0) + torch.arange(2 * half)
    counted = ((places >= parts) & (places < parts + half) & (places <= last))[share]
    places = places.clamp(max=last)[share]
    pieces = zip(places.split(rows), counted.split(rows), strict=True)
    return read(net, ((tokens[at], tokens[at + 1], which) for at, which in pieces))


def bits_per_character(nats: Tensor, targets: Tensor, words: Sequence[str]) -> float:
    """The cost of tokens (n,) for each of their characters, with a blank after each token; a line's end is one."""
    lengths = torch.tensor([1 if word == END else len(word) + 1 for word in words])
    letters = int(lengths[targets].sum())
    return float(nats.sum()) / math.log(2) / letters


def blind_guess(parts: Mapping[str, Tensor], size: int) -> float:
    """The test text's perplexity under a unigram model of the training text, with add-one smoothing."""
    counts = torch.bincount(parts["train"], minlength=size) + 1.0
    return math.exp(-(counts / counts.sum()).log()[parts["test"]].mean())
