"""Time the original's training loop over single names against padded batches, in one process.

    python -m tutorials.tools.race_names [--data official] [--data-root DIR]

Two models of the same weights take the same batches by turns, so that other load on the machine affects both alike.
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
from tutorials.char_rnn import RECIPES, CharRNN, NamesDataset, NamesOptions

BATCH, STEPS = 64, 10


def race(dataset: NamesDataset, rounds: int = 7) -> None:
    """Train two models of the same weights on the same batches, by turns, and print their times and losses."""
    ours = CharRNN(NamesOptions(**RECIPES["original"]), len(dataset.classes))
    theirs = copy.deepcopy(ours)
    i2h, h2h = ours.rnn.i2h, ours.rnn.h2h
    theirs.rnn = nn.RNN(i2h.in_features, i2h.out_features)
    theirs.rnn.load_state_dict({
        f"{part}_{name}_l0": getattr(linear, part)
        for name, linear in {"ih": i2h, "hh": h2h}.items() for part in ("weight", "bias")
    })  # fmt: skip
    with_lengths = zip(dataset.letters, dataset.lengths.tolist(), strict=True)
    singles = [F.one_hot(row[:length], i2h.in_features).float()[:, None] for row, length in with_lengths]  # as there

    def one_by_one(batch: Tensor) -> Tensor:
        loss = torch.zeros(())
        for i in batch.tolist():
            _, last = theirs.rnn(singles[i])
            loss = loss + F.nll_loss(F.log_softmax(theirs.h2o(last[0]), dim=1), dataset.labels[i : i + 1])
        return loss

    def batched(batch: Tensor) -> Tensor:
        letters, lengths, labels = dataset.__getitems__(batch)
        return F.cross_entropy(ours(letters, lengths), labels, reduction="sum")

    nets = {one_by_one: theirs, batched: ours}
    losses, seconds = {way: [] for way in nets}, {way: [] for way in nets}
    for _ in range(rounds):
        batches = torch.randperm(len(dataset))[: BATCH * STEPS].split(BATCH)
        for way, net in nets.items():
            start = time.process_time()
            losses[way].append(train(net, way, batches))
            seconds[way].append(time.process_time() - start)
    steps = {way: statistics.median(times) / STEPS for way, times in seconds.items()}
    for way, step in steps.items():
        # The first round alone compares: each step multiplies the difference in rounding.
        loss = losses[way][0] / sum(map(len, batches))
        print(f"{way.__name__:<10}  {1000 * step:7.1f} CPU ms a step of {BATCH} names, first mean loss {loss:.6f}")
    print(f"batched is {steps[one_by_one] / steps[batched]:.1f} times as fast")


def train(net: nn.Module, loss_of: Callable, batches: tuple[Tensor, ...]) -> float:
    """The original's training step on each batch; returns the sum of all losses."""
    optimizer, total = optim.SGD(net.parameters(), 0.15), 0.0
    for batch in batches:
        loss = loss_of(batch)
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
    torch.set_num_threads(1)  # the operations are too short to share among threads
    race(NamesDataset(data.load("names", arguments.data, arguments.data_root).to_ascii()))


if __name__ == "__main__":
    main()
