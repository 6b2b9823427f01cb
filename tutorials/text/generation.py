"""Go on writing after some tokens, word by word, with a causal net that keeps what it has computed."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data import StudyError
from tutorials.common import checkpoint
from tutorials.common.device import predicting
from tutorials.text import tokenizer


@dataclass(frozen=True)
class Style:
    """How to choose among the words that may follow; `temperature` 0 takes the likeliest, `top_k` 0 allows all."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0


@torch.no_grad()
def write(net: Any, tokens: list[int], count: int, style: Style) -> list[int]:
    """`count` tokens that follow the given ones; what was computed of earlier ones is not computed again.

    The net has `length`, the most tokens that it sees, and `step(tokens (N, T), start, past)`, which gives the
    log-probabilities (N, V) of the next and what to keep. When `length` tokens are full it goes on with the later half.
    """
    generator = torch.Generator().manual_seed(style.seed)
    written, seen, past = list(tokens), 0, None  # `seen` of the tokens since `begin` are in `past`
    begin = max(0, len(written) - net.length)
    for _ in range(count):
        if len(written) - begin > net.length:
            begin, seen, past = len(written) - net.length // 2, 0, None
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


def read_beginning(given: str, words: list[str]) -> tuple[list[int], list[str]]:
    """A text as the numbers of its words, and those that the net does not know; raises StudyError without any word."""
    tokens = tokenizer.tokenizer()(given)
    if tokenizer.END in words:  # roughly WikiText's tokens, in upper and lower case
        tokens = re.findall(r"<unk>|@.@|'?\w+|[^\w\s]", given)
    if not tokens:
        raise StudyError("generate: the text holds no word. Give its beginning: TEXT='the history of'.")
    numbers = tokenizer.vocabulary(words)(tokens)
    return numbers, [word for word, one in zip(tokens, numbers, strict=True) if not one and word != tokenizer.UNKNOWN]


def write_on(options: Any, load_net: Callable[[Path], tuple[Any, list[str]]]) -> None:
    """Print what the saved net writes after the text of --text."""
    with predicting():
        path = checkpoint.find_best("language-model", options.run_dir)
        net, words = load_net(path)
        numbers, unknown = read_beginning(options.text, words)
        if unknown:
            print(f"not among the net's {len(words):,} words, read as {tokenizer.UNKNOWN}: {', '.join(unknown)}")
        style = Style(options.temperature, options.top_k, options.top_p, options.seed)
        written = write(net, numbers, options.tokens, style)
        print(f"{options.text} | {' '.join(words[token] for token in written).replace(tokenizer.END, chr(10))}")
        print(f"(by the net of {checkpoint.describe(path, 'language-model')})")
