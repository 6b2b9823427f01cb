"""What each change of the language model's study recipe gave: each taken away in turn, all for the same time.

    python -m tutorials.tools.ablate_language_model [--minutes 3] [--data official] [--only "study recipe" "untied"]

The nets are trained by turns, some seconds each, so that what else the machine does hits all alike; the learning rate
follows the share of the processor time that is over, so that each schedule comes to its end. Compared by the perplexity
of the beginning of the validation text.
"""

import argparse
import math
import time
from collections.abc import Iterator
from types import SimpleNamespace

import torch
from torch import nn

import data
from tutorials import language_model as lm
from tutorials.common.autocast import Autocast
from tutorials.common.console import print_table
from tutorials.text.perplexity import measure

TOKENIZER = "basic_english"  # of all: perplexities are compared
TAKEN_AWAY = {
    "study recipe": {},
    "full softmax, untied": dict(frequent=0),
    "untied": dict(tied=False),
    "AdamW for all": dict(optimizer="adamw", lr=0.003),
    "SGD for all": dict(optimizer="sgd", lr=5.0, weight_decay=0.0),
    "float32": dict(precision="float32"),
    "original layers": dict(norm_first=False),
    "no learning-rate decay": dict(schedule="exponential"),
    "no dropout": dict(dropout=0.0),
    "fast dropout": dict(fast_dropout=True),
    "windows of 35": dict(length=35, batch_size=117),
    "columns of text": dict(shuffle=False),
    "original recipe": lm.RECIPES["original"] | dict.fromkeys(lm.RECIPES["study"]),
}


def options_of(changed: dict, source: str) -> lm.LanguageModelOptions:
    """The study recipe's options with some others; None stands for the value that the original has."""
    values = {**lm.RECIPES["study"], **lm.RECIPES.get(f"study-{source}", {}), **changed}
    values |= {"data": source, "epochs": 1, "tokenizer": TOKENIZER}
    return lm.LanguageModelOptions(**{name: value for name, value in values.items() if value is not None})


class Training:
    """A net on its way; iterating trains it for some seconds at a time until its minutes are over."""

    def __init__(self, options: lm.LanguageModelOptions, size: int, tokens: torch.Tensor, minutes: float) -> None:
        torch.manual_seed(options.seed)
        self.options, self.budget, self.seconds, self.steps = options, 60 * minutes, 0.0, 0
        self.net = lm.LanguageModel(size, options)
        lm.set_dropout(self.net, options)
        self.optimizer = lm.make_optimizer(self.net, options)
        self.highest = [group["lr"] for group in self.optimizer.param_groups]
        self.windows = lm.Windows(tokens, options.length, 0 if options.shuffle else options.batch_size)
        self.batches = self.draw()
        self.autocast = Autocast(torch.device("cpu"), options.precision == "bfloat16", print)

    def draw(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for epoch in range(10_000):
            self.windows.set_epoch(epoch)
            generator = torch.Generator().manual_seed(epoch)
            count = len(self.windows)
            order = torch.randperm(count, generator=generator) if self.options.shuffle else torch.arange(count)
            for indices in order.split(self.options.batch_size):
                yield self.windows.__getitems__(indices.tolist())

    def go_on(self, seconds: float) -> None:
        """As in the tutorial's loop, but the learning rate follows the time."""
        self.net.train()
        until = min(self.budget, self.seconds + seconds)
        while self.seconds < until:
            begun = time.process_time()
            inputs, targets = next(self.batches)
            factor = lm.lr_factor(int(10_000 * self.seconds / self.budget), self.options, 10_000)
            for group, lr in zip(self.optimizer.param_groups, self.highest, strict=True):
                group["lr"] = lr * factor
            self.optimizer.zero_grad()
            with self.autocast():
                loss = self.net(inputs, targets)
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), self.options.grad_clip)
            with self.autocast():
                self.optimizer.step()
            self.steps += 1
            self.seconds += time.process_time() - begun


def ablate(source: str, minutes: float, names: list[str], tokens: int = 30_000) -> list[tuple[str, ...]]:
    """Rows of name, steps, tokens trained on and validation perplexity; prints them as a table."""
    options = SimpleNamespace(tokenizer=TOKENIZER)
    run = SimpleNamespace(load_data=lambda name: data.load(name, source), say=print, options=options)
    words, parts = lm.load_text(run)
    nets = {name: Training(options_of(TAKEN_AWAY[name], source), len(words), parts["train"], minutes) for name in names}
    while any(one.seconds < one.budget for one in nets.values()):
        for one in nets.values():
            one.go_on(10)
    rows = []
    for name, one in nets.items():
        perplexity = math.exp(measure(one.net, parts["val"][:tokens])[0].mean())
        seen = one.steps * one.options.batch_size * one.options.length
        rows.append((name, f"{one.steps:,}", f"{seen / 1e6:.2f}", f"{perplexity:.1f}"))
    print_table((f"{minutes:g} processor minutes each", "steps", "million tokens", "validation perplexity"), rows)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="official", choices=("official", "tiny"))
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--only", nargs="+", default=list(TAKEN_AWAY), choices=TAKEN_AWAY)
    arguments = parser.parse_args()
    ablate(arguments.data, arguments.minutes, arguments.only)


if __name__ == "__main__":
    main()
