"""How a recurrent net reads: which letters mattered, how its judgement moves, what is left of the gradient.

A net has `vectors(letters)` (N, T, E), `judge(vectors, lengths)` (R, N, C) and R `readers`, each a recurrent `cell`
like nn.RNN and a linear layer `out` from its states. N batch, T letters, E embedding, H hidden, C classes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from tutorials.common.plots import Heat


def saliency(net: nn.Module, names: Sequence[str], letters: Tensor, lengths: Tensor, classes: Sequence[str]) -> Heat:
    """How much the winning score of each name would change with each letter's vector: the gradient's norm, as a share
    of the name's largest.

    Source: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2014.
    """
    vectors = net.vectors(letters).detach().requires_grad_()
    scores, winners = net.judge(vectors, lengths).mean(0).max(1)
    norms = torch.autograd.grad(scores.sum(), vectors)[0].norm(dim=2)  # (N, T)
    norms /= norms.amax(1, keepdim=True)
    places = torch.arange(letters.shape[1])
    norms[places >= lengths[:, None]] = torch.nan
    rows = [f"{name}: {classes[winner]}" for name, winner in zip(names, winners, strict=True)]
    return Heat(norms.numpy(), rows, (places + 1).tolist(), cells=[name.ljust(len(places)) for name in names])


@torch.no_grad()
def letter_by_letter(
    net: nn.Module, name: str, letters: Tensor, lengths: Tensor, classes: Sequence[str], count: int = 6
) -> Heat:
    """Probabilities of the likeliest classes after each letter, as if the name ended there; `letters` (T, T) and
    `lengths` (T,) are the beginnings of the name."""
    shares = net(letters, lengths).mean(0).softmax(1)  # (T, C)
    likely = shares.amax(0).argsort(descending=True)[:count]
    return Heat(shares[:, likely].T.numpy(), [classes[label] for label in likely], list(name), name)


def gradients_through_time(net: nn.Module, letters: Tensor, labels: Tensor) -> list[float]:
    """The mean norm of d loss / d h(t), for each of the T steps of names (N, T) of one length.

    Source: Bengio, Simard and Frasconi, "Learning long-term dependencies with gradient descent is difficult", 1994.
    """
    ones = torch.ones(len(labels), dtype=torch.long)
    states = []
    for vectors in net.vectors(letters).split(1, 1):  # letter by letter, to lay hold of each state
        step = pack_padded_sequence(vectors, ones, batch_first=True, enforce_sorted=False)
        states.append(net.readers[0].cell(step, *states[-1:])[1])  # (1, N, H)
    loss = F.cross_entropy(net.readers[0].out(states[-1][0]), labels, reduction="sum")
    return [float(gradient.norm(dim=2).mean()) for gradient in torch.autograd.grad(loss, states)]
