"""What an RNN attends to: saliency of letters, predictions letter by letter, and the norm of gradients through time.

A model has `embed(letters)` (N, T, E), `classify(x, lengths)` (N, C), `run_cell(x, lengths, hidden)` and an output
layer `h2o`, as `CharRNN` does. N batch, T letters, E embedding, H hidden, C classes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorials.common.plots import Heat


def saliency(net: nn.Module, names: Sequence[str], letters: Tensor, lengths: Tensor, classes: Sequence[str]) -> Heat:
    """The norm of the gradient of each name's largest logit with respect to each letter's vector, relative to the
    largest of the name.

    Source: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2014.
    """
    x = net.embed(letters).detach().requires_grad_()
    logits, predicted = net.classify(x, lengths).max(1)
    norms = torch.autograd.grad(logits.sum(), x)[0].norm(dim=2)  # (N, T)
    norms /= norms.amax(1, keepdim=True)
    positions = torch.arange(letters.shape[1])
    norms[positions >= lengths[:, None]] = torch.nan
    rows = [f"{name}: {classes[label]}" for name, label in zip(names, predicted, strict=True)]
    return Heat(norms.numpy(), rows, (positions + 1).tolist(), cells=[name.ljust(len(positions)) for name in names])


@torch.no_grad()
def letter_by_letter(
    net: nn.Module, name: str, letters: Tensor, lengths: Tensor, classes: Sequence[str], count: int = 6
) -> Heat:
    """Probabilities of the most probable classes for each prefix of a name; `letters` (T, T), `lengths` (T,)."""
    probabilities = net(letters, lengths).softmax(1)  # (T, C)
    top = probabilities.amax(0).argsort(descending=True)[:count]
    return Heat(probabilities[:, top].T.numpy(), [classes[label] for label in top], list(name), name)


def gradients_through_time(net: nn.Module, letters: Tensor, labels: Tensor) -> list[float]:
    """The mean norm of d loss / d h(t), for each of the T steps of names (N, T) of the same length.

    Source: Bengio, Simard and Frasconi, "Learning long-term dependencies with gradient descent is difficult", 1994.
    """
    ones = torch.ones(len(labels), dtype=torch.long)
    states = [None]
    for x in net.embed(letters).split(1, 1):  # letter by letter, to keep each hidden state as a tensor of its own
        states.append(net.run_cell(x, ones, states[-1])[1])  # (1, N, H)
    loss = F.cross_entropy(net.h2o(states[-1][0]), labels, reduction="sum")
    return [float(gradient.norm(dim=2).mean()) for gradient in torch.autograd.grad(loss, states[1:])]
