"""Go on writing after some tokens, word by word, with a causal net that keeps what it has computed."""

import time
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Style:
    """How to choose among the words that may follow; `temperature` 0 takes the likeliest, `top_k` 0 allows all."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0


@torch.no_grad()
def write(net: Any, tokens: list[int], count: int, style: Style, keep: bool = True) -> list[int]:
    """`count` tokens that follow the given ones; with `keep`, what was computed of earlier ones is not computed again.

    The net has `length`, the most tokens that it sees, and `step(tokens (N, T), start, past)`, which gives the
    log-probabilities (N, V) of the next and what to keep. When `length` tokens are full it goes on with the later half.
    """
    generator = torch.Generator().manual_seed(style.seed)
    written, seen, past = list(tokens), 0, None  # `seen` of the tokens since `begin` are in `past`
    begin = max(0, len(written) - net.length)
    for _ in range(count):
        if len(written) - begin > net.length:
            begin, seen, past = len(written) - net.length // 2, 0, None
        if not keep:
            seen, past = 0, None
        new = torch.tensor([written[begin + seen :]], device=next(net.parameters()).device)
        log_p, past = net.step(new, seen, past)
        seen += new.shape[1]
        written.append(choose(log_p[0].cpu(), style, generator))
    return written[len(tokens) :]


def choose(log_p: Tensor, style: Style, generator: torch.Generator) -> int:
    """A word's number, by the log-probabilities (V,) of all; never number 0, the unknown word."""
    log_p = log_p.clone()
    log_p[0] = -inf
    if style.temperature == 0:
        return int(log_p.argmax())
    p, order = (log_p / style.temperature).softmax(0).sort(descending=True)
    p[p.cumsum(0) - p >= max(style.top_p, 1e-9)] = 0  # the likeliest always stays
    if style.top_k:
        p[style.top_k :] = 0
    return int(order[torch.multinomial(p, 1, generator=generator)])


def race(net: Any, tokens: list[int], count: int = 200) -> dict[bool, float]:
    """Seconds to write `count` words with (True) and without (False) keeping; both must write the same words."""
    seconds, texts = {}, []
    for keep in (True, False):
        begun = time.perf_counter()
        texts.append(write(net, tokens, count, Style(), keep))
        seconds[keep] = time.perf_counter() - begun
    if texts[0] != texts[1]:
        raise RuntimeError("writing with kept keys and values gave other words than writing without")
    return seconds
