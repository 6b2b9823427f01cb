"""Write sentences token by token with any net that keeps a state: batched greedy and beam search.

A net is given as a function `step(tokens, state, memory) -> (scores, state)`: the last tokens (M,), what changes from
step to step, what does not (the encoded source), and back the scores (M, V), any numbers that a log_softmax makes
log-probabilities, with the next state. State and memory are tensors with M first, in lists, tuples and dicts as deep
as you like: a GRU's hidden state or a transformer's cached keys and values.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from tutorials.text.vocabulary import BOS, EOS, PAD, UNK

Step = Callable[[Tensor, Any, Any], tuple[Tensor, Any]]
Hypothesis = tuple[float, list[int]]  # log p, tokens
NEVER = [PAD, BOS, UNK]  # no sentence holds them

# N sentences, K beams of each, M = N or N * K rows, V tokens, T time


def select(tree: Any, rows: Tensor) -> Any:
    """Some rows of every tensor in a state or memory, in the order of `rows`."""
    return tree_map_only(Tensor, lambda part: part.index_select(0, rows), tree)


def log_probabilities(step: Step, tokens: Tensor, state: Any, memory: Any) -> tuple[Tensor, Any]:
    """Log-probabilities (M, V) of the next tokens, in which what must never come is impossible; the next state."""
    scores, state = step(tokens, state, memory)
    scores = scores.float().log_softmax(-1)
    scores[:, NEVER] = -torch.inf
    return scores, state


@torch.no_grad()
def greedy(step: Step, state: Any, memory: Any, limits: Tensor) -> list[list[int]]:
    """The likeliest next token again and again, for all N sentences at once, until EOS or `limits` (N,) tokens.

    A sentence that has come to its end leaves the batch. Returns the tokens of each, without BOS and EOS.
    """
    written = limits.new_full((len(limits), int(limits.max())), EOS)
    going = torch.arange(len(limits), device=limits.device)  # the sentences that are still written
    tokens = torch.full_like(limits, BOS)
    for place in range(written.shape[1]):
        scores, state = log_probabilities(step, tokens, state, memory)
        tokens = scores.argmax(-1)
        written[going, place] = tokens
        kept = ((tokens != EOS) & (limits[going] > place + 1)).nonzero().squeeze(1)
        if not len(kept):
            break
        if len(kept) < len(going):
            going, tokens = going[kept], tokens[kept]
            state, memory = select(state, kept), select(memory, kept)
    return [row[: row.index(EOS)] if EOS in row else row for row in written.tolist()]


def beam(step: Step, state: Any, memory: Any, limits: Tensor, width: int, alpha: float = 1.0) -> list[list[int]]:
    """Beam search for all N sentences at once: keep the `width` best beginnings; choose by log p / length^alpha.

    EOS counts in the length; width 1 is greedy search. The search ends when `width` ends were found, or when no
    beginning can overtake the best of them. Returns the tokens of the best, without BOS and EOS.
    """
    found = hypotheses(step, state, memory, limits, width, width, alpha)
    return [max(ends, key=lambda end: end[0] / (len(end[1]) + 1) ** alpha)[1] for ends in found]


@torch.no_grad()
def hypotheses(
    step: Step, state: Any, memory: Any, limits: Tensor, width: int, count: int, alpha: float | None = None
) -> list[list[Hypothesis]]:
    """The sentences that beam search finds for each of N sources: log p, and the tokens without BOS and EOS.

    A beginning ends when EOS is among its sentence's `width` best continuations. A source is done when `count` ends
    were found, or after `limits` (N,) tokens; if nothing has ended then, its hypothesis is the best beginning. With
    `alpha` it is also done when no beginning can overtake the best end by log p / length^alpha.
    """
    going, K = torch.arange(len(limits), device=limits.device), width
    rows = going.repeat_interleave(K)
    state, memory = select(state, rows), select(memory, rows)
    tokens = torch.full_like(rows, BOS)
    beginnings = limits.new_full((len(limits), K, int(limits.max())), EOS)
    scores = torch.full((len(limits), K), -torch.inf, device=limits.device)  # log p of the beginnings
    scores[:, 0] = 0  # at first all K are the same
    found: list[list[Hypothesis]] = [[] for _ in limits]
    best = torch.full_like(scores[:, 0], -torch.inf)  # of the ends: log p / length^alpha
    for place in range(beginnings.shape[2]):
        log_p, state = log_probabilities(step, tokens, state, memory)
        total = scores[:, :, None] + log_p.view(*scores.shape, -1)  # (N, K, V)
        ranked, which = total.flatten(1).topk(2 * K)  # of 2K continuations, at most K are ends
        parent, token = which // total.shape[2], which % total.shape[2]
        ending = token == EOS
        row, _ = ends = (ending & (ranked > -torch.inf))[:, :K].nonzero(as_tuple=True)
        texts = beginnings[row, parent[ends], :place]
        for number, value, text in zip(going[row].tolist(), ranked[ends].tolist(), texts.tolist(), strict=True):
            found[number].append((value, text))

        order = ending.int().argsort(dim=1, stable=True)[:, :K]  # the best that go on
        scores, parent, token = (values.gather(1, order) for values in (ranked, parent, token))
        beginnings = beginnings.gather(1, parent[:, :, None].expand_as(beginnings))
        beginnings[:, :, place] = token
        done = limits[going] <= place + 1
        for number in done.nonzero().flatten().tolist():
            if not found[going[number]]:
                found[going[number]].append((scores[number, 0].item(), beginnings[number, 0, : place + 1].tolist()))
        done |= torch.tensor([len(found[number]) >= count for number in going.tolist()], device=limits.device)
        if alpha is not None:
            best.scatter_reduce_(0, going[row], ranked[ends] / (place + 1) ** alpha, "amax")
            done |= best[going] >= scores[:, 0] / limits[going] ** alpha
        kept = (~done).nonzero().squeeze(1)
        if not len(kept):
            break
        rows = (kept[:, None] * K + parent[kept]).flatten()
        going, scores, beginnings, tokens = going[kept], scores[kept], beginnings[kept], token[kept].flatten()
        state = select(state, rows)
        if len(kept) < len(done):
            memory = select(memory, rows)  # the beams of a sentence share theirs
    return found
