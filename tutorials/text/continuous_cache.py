"""A cache for a language model: what followed the last times when the net was in a state like this one.

Source: E. Grave et al., "Improving Neural Language Models with a Continuous Cache", ICLR, 2017.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# n tokens of a text, E width


@dataclass(frozen=True)
class Memory:
    """p = (1 - share) p(net) + share p(cache), where each of the last `size` tokens has a weight in the cache.

    The weight is softmax(sharpness * cosine of the state now and the state before that token), so that only the past
    is used, and a text's first token has none.
    """

    share: float = 0.1
    sharpness: float = 10.0
    size: int = 8000

    def nats(self, nats: Tensor, states: Tensor, targets: Tensor) -> Tensor:
        """What tokens cost with it: those of the net (n,), its states (n, E) and the tokens (n,) -> (n,)."""
        return self.mix(nats, self.read(states, targets))

    def mix(self, nats: Tensor, p: Tensor) -> Tensor:
        return -torch.logaddexp(-nats + torch.tensor(1 - self.share).log(), (self.share * p).log())

    def read(self, states: Tensor, targets: Tensor, rows: int = 256) -> Tensor:
        """The cache's p of each token (n,)."""
        states, p = torch.nn.functional.normalize(states.float(), dim=1), torch.zeros(len(states), dtype=torch.float64)
        for at in range(0, len(states), rows):
            begin, now = max(0, at - self.size), torch.arange(at, min(at + rows, len(states)))[:, None]
            then = torch.arange(begin, int(now[-1]) + 1)
            scores = self.sharpness * states[now[:, 0]] @ states[then].T
            weights = scores.masked_fill((then >= now) | (then < now - self.size), -torch.inf).softmax(1)
            p[now[:, 0]] = (weights.nan_to_num() * (targets[then] == targets[now])).sum(1).double()
        return p


def fit_memory(nats: Tensor, states: Tensor, targets: Tensor, beginning: int = 50_000) -> Memory:
    """Of a few memories, the one with the lowest loss on the beginning of a text, which must not be the test text."""
    found, nats = {}, nats[:beginning]
    for sharpness in (10.0, 15.0, 20.0, 30.0):
        p = Memory(sharpness=sharpness).read(states[:beginning], targets[:beginning])
        for share in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
            memory = Memory(share, sharpness)
            found[memory] = float(memory.mix(nats, p).mean())
    return min(found, key=found.get)
