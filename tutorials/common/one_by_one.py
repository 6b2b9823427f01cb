"""The original's training on names, whose batches go through the net name by name, to time a batched step beside."""

import copy
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import Dataset

BATCH, STEPS = 64, 5


def race(net: nn.Module, lines: Dataset, rounds: int = 7) -> None:
    """Train two copies of a net with nn.RNN on the same batches, in turns, and print their times and losses.

    `lines` has `letters` (N, T), `lengths` (N,) and `labels` (N,), and gathers a batch of all three.
    """
    symbols = net.cell.input_size
    with_lengths = zip(lines.letters, lines.lengths.tolist(), strict=True)
    singles = [F.one_hot(row[:length], symbols).float()[None] for row, length in with_lengths]  # prepared, as there

    def one_by_one(racer: nn.Module, batch: Tensor) -> Tensor:
        loss = torch.zeros(())
        for i in batch.tolist():
            _, last = racer.cell(singles[i])
            loss = loss + F.nll_loss(F.log_softmax(racer.out(last[0]), dim=1), lines.labels[i : i + 1])
        return loss

    def at_once(racer: nn.Module, batch: Tensor) -> Tensor:
        letters, lengths, labels = lines.__getitems__(batch)
        return F.cross_entropy(racer(F.one_hot(letters, symbols).float(), lengths), labels, reduction="sum")

    racers = {way: copy.deepcopy(net) for way in (one_by_one, at_once)}
    losses, seconds = dict.fromkeys(racers, 0.0), {way: [] for way in racers}
    for _ in range(rounds):
        batches = torch.randperm(len(lines))[: BATCH * STEPS].split(BATCH)
        for way, racer in racers.items():
            since = time.perf_counter()
            losses[way] += train(racer, way, batches)
            seconds[way].append(time.perf_counter() - since)
    steps = {way: statistics.median(taken) / STEPS for way, taken in seconds.items()}  # other programs run as well
    for way, step in steps.items():
        loss = losses[way] / (rounds * STEPS * BATCH)
        print(f"{way.__name__:<10}  {1000 * step:7.1f} ms a step of {BATCH} names, mean loss {loss:.5f}")
    print(f"at_once is {steps[one_by_one] / steps[at_once]:.1f} times as fast")


def train(net: nn.Module, way: Callable, batches: tuple[Tensor, ...]) -> float:
    """The original's step on each batch; the sum of all losses."""
    optimizer, total = optim.SGD(net.parameters(), 0.15), 0.0
    for batch in batches:
        loss = way(net, batch)
        loss.backward()
        clip_grad_norm_(net.parameters(), 3)
        optimizer.step()
        optimizer.zero_grad()
        total += loss.item()
    return total
