"""A small training that uses all that a run must restore: shuffling, dropout, momentum, a schedule, validation."""

import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

from data.parallel import read_lines
from tutorials.common.options import Options, parse
from tutorials.common.run import Run


@dataclass
class SmallOptions(Options):
    """A small training."""

    lr: float = 0.05
    """Learning rate."""
    nan_at: int = 0
    """The step whose loss is made infinite; 0: none."""
    pause: float = 0.0
    """Seconds to sleep in each step."""
    plain: bool = False
    """A plain shuffling DataLoader instead of the run's."""
    table: Path | None = None
    """A file from whose number of lines the data follow."""

    own = ("table",)
    keeping = Options.keeping | {"pause"}  # of no matter to what is computed


RECIPES = {"study": {"epochs": 4, "log_every": 7}, "original": {"epochs": 1}}


def train(*argv: str) -> None:
    sys.argv = ["small", "--device", "cpu", *argv]
    options = parse(SmallOptions, RECIPES)
    with Run("small", options) as run:
        start = len(run.load_data("small", partial(read_lines, options.table))) if options.table else 1
        generator = torch.Generator().manual_seed(start)
        x = torch.randn(203, 5, generator=generator)
        dataset = TensorDataset(x, (x.sum(1) > 0).long())
        net = run.distribute(nn.Sequential(nn.Linear(5, 16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 2)))
        optimizer = optim.AdamW(net.parameters(), options.lr)
        scheduler = optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=60 * options.epochs)
        loader = DataLoader(dataset, 8, shuffle=True) if options.plain else run.loader(dataset, 8, shuffle=True)
        run.track(net=net, optimizer=optimizer, scheduler=scheduler)
        for _epoch in run.epochs():
            net.train()
            for inputs, labels in run.batches(loader):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(net(inputs), labels)
                if run.step == options.nan_at:
                    loss = loss * float("inf")
                loss.backward()
                optimizer.step()
                scheduler.step()
                run.log("train", loss=loss)
                time.sleep(options.pause)
            accuracy = measure(run, net, dataset)
            run.log("val", accuracy=accuracy)
            run.keep_best(accuracy)
        run.finish({"val/accuracy": measure(run, net, dataset)}, {}, {"val/accuracy": 0.5})


@torch.no_grad()
def measure(run: Run, net: nn.Module, dataset: TensorDataset) -> float:
    net.eval()
    scores = torch.cat([net(inputs) for inputs, _ in run.each(run.loader(dataset, 64))])
    return float((run.gather(scores, len(dataset)).argmax(1) == dataset.tensors[1]).float().mean())
