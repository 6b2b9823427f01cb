"""Dynamic evaluation: a language model that goes on learning from the text on which it is tested.

Source: B. Krause et al., "Dynamic Evaluation of Neural Sequence Models", ICML, 2018.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# N windows, T tokens of each, E width, n tokens of a text that are guessed


@dataclass(frozen=True)
class DynamicEvaluation:
    """One step of SGD after every few tokens, which pulls the weights back towards the trained ones by `decay`.

    A token is always guessed before the net learns from it, so that only the past is used.
    """

    lr: float = 0.1
    decay: float = 0.001
    window: int = 32

    def read(self, net: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The nats (n,) of a text's tokens, all but the first, and the states (n, E) from which they were guessed.

        Each has at least half of the net's context before it, except at the very beginning. The net stays as it is.
        """
        net, trained = copy.deepcopy(net).eval(), dict(net.named_parameters())
        device, nats, states = next(net.parameters()).device, [], []
        for end in range(self.window, len(tokens) - 1 + self.window, self.window):
            end = min(end, len(tokens) - 1)
            begin, new = max(0, end - net.length), (end - 1) % self.window + 1
            window = tokens[begin : end + 1].to(device)[None]
            x = net.encode(window[:, :-1])[0, -new:]
            cost = net.words.nats(x, window[0, -new:])
            nats.append(cost.detach().cpu())
            states.append(x.detach().cpu())
            net.zero_grad()
            cost.mean().backward()
            with torch.no_grad():
                for name, weight in net.named_parameters():
                    weight.sub_(weight.grad, alpha=self.lr)
                    weight.lerp_(trained[name], self.decay)
        return torch.cat(nats).double(), torch.cat(states)
