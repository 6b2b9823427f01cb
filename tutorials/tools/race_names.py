"""The original's training on names, whose batches go through the net name by name, beside ours, in one process.

    python -m tutorials.tools.race_names [--data official] [--data-root DIR]

Nets of the same weights take the same batches by turns, so that what else the machine does hits both alike.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.nn.utils import clip_grad_norm_

import data
from tutorials.char_rnn import RECIPES, Lines, NamesOptions, Net

BATCH, STEPS = 64, 10


def race(lines: Lines, rounds: int = 7) -> None:
    """Train two nets of the same weights on the same batches, in turns, and print their times and losses."""
    ours = Net(NamesOptions(**RECIPES["original"]), len(lines.classes)).readers[0]
    theirs = copy.deepcopy(ours)
    symbols, hidden = theirs.cell.i2h[0].in_features, theirs.cell.i2h[0].out_features
    theirs.cell = nn.RNN(symbols, hidden)
    theirs.cell.load_state_dict({
        f"{part}_{which}_l0": getattr(linear[0], part)
        for which, linear in {"ih": ours.cell.i2h, "hh": ours.cell.h2h}.items() for part in ("weight", "bias")
    })  # fmt: skip
    with_lengths = zip(lines.letters, lines.lengths.tolist(), strict=True)
    singles = [F.one_hot(row[:length], symbols).float()[:, None] for row, length in with_lengths]  # prepared, as there

    def one_by_one(batch: Tensor) -> Tensor:
        loss = torch.zeros(())
        for i in batch.tolist():
            _, last = theirs.cell(singles[i])
            loss = loss + F.nll_loss(F.log_softmax(theirs.out(last[0]), dim=1), lines.labels[i : i + 1])
        return loss

    def at_once(batch: Tensor) -> Tensor:
        letters, lengths, labels = lines.__getitems__(batch)
        return F.cross_entropy(ours(F.one_hot(letters, symbols).float(), lengths), labels, reduction="sum")

    racers = {one_by_one: theirs, at_once: ours}
    losses, seconds = {way: [] for way in racers}, {way: [] for way in racers}
    for _ in range(rounds):
        batches = torch.randperm(len(lines))[: BATCH * STEPS].split(BATCH)
        for way, net in racers.items():
            since = time.process_time()
            losses[way].append(train(net, way, batches))
            seconds[way].append(time.process_time() - since)
    steps = {way: statistics.median(taken) / STEPS for way, taken in seconds.items()}
    for way, step in steps.items():
        # Later rounds tell nothing: each step multiplies what the two ways round differently.
        loss = losses[way][0] / sum(map(len, batches))
        print(f"{way.__name__:<10}  {1000 * step:7.1f} CPU ms a step of {BATCH} names, first mean loss {loss:.6f}")
    print(f"at_once is {steps[one_by_one] / steps[at_once]:.1f} times as fast")


def train(net: nn.Module, way: Callable, batches: tuple[Tensor, ...]) -> float:
    """The original's step on each batch; the sum of all losses."""
    optimizer, total = optim.SGD(net.parameters(), 0.15), 0.0
    for batch in batches:
        loss = way(batch)
        loss.backward()
        clip_grad_norm_(net.parameters(), 3)
        optimizer.step()
        optimizer.zero_grad()
        total += loss.item()
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="tiny", choices=("tiny", "official"))
    parser.add_argument("--data-root", type=Path)
    arguments = parser.parse_args()
    names = data.load("names", arguments.data, arguments.data_root)
    race(Lines(names))


if __name__ == "__main__":
    main()
