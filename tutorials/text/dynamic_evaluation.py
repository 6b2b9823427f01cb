"""Dynamic evaluation: a language model that goes on learning from the text on which it is tested.

Source: B. Krause et al., "Dynamic Evaluation of Neural Sequence Models", ICML, 2018.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tutorials.text.continuous_cache import Memory, fit_memory

# N windows, T tokens of each, E width, n tokens of a text that are guessed


@dataclass(frozen=True)
class DynamicEvaluation:
    """A step of SGD after every `window` tokens, each of which is guessed before the net learns from it; for a net with
    a short context, after half of that."""

    lr: float = 0.1
    window: int = 64

    def read(self, net: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The nats (n,) of a text's tokens, all but the first, and the states (n, E) from which they were guessed.

        Each is predicted from at least the net's context less one window, except at the text's beginning. `net` itself
        stays as it is.
        """
        net, device = copy.deepcopy(net).eval(), next(net.parameters()).device
        optimizer, nats, states = torch.optim.SGD(net.parameters(), self.lr), [], []
        window = min(self.window, net.length // 2)
        for start in range(0, len(tokens) - 1, window):
            end = min(start + window, len(tokens) - 1)
            seen = tokens[max(0, end - net.length) : end + 1].to(device)
            x = net.encode(seen[None, :-1])[0, start - end :]  # the states of the new tokens alone
            cost = net.words.nats(x, seen[start - end :])
            nats.append(cost.detach().cpu())
            states.append(x.detach().cpu())
            optimizer.zero_grad()
            cost.mean().backward()
            optimizer.step()
        return torch.cat(nats).double(), torch.cat(states)


def fit_dynamic_evaluation(
    net: Any, tokens: Tensor, beginning: int = 10_000, rates: Sequence[float] = (0.003, 0.01, 0.03, 0.1)
) -> tuple[DynamicEvaluation, Memory]:
    """The learning rate with the lowest loss on the beginning of a text, and a cache tuned with it; the text must not
    be the test text."""
    tokens = tokens[: beginning + 1]
    found = {lr: DynamicEvaluation(lr).read(net, tokens) for lr in rates}
    best = min(found, key=lambda lr: float(found[lr][0].mean()))
    return DynamicEvaluation(best), fit_memory(*found[best], tokens[1:])
