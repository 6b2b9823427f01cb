"""A language model on WikiText-2: windows of text, a causal TransformerEncoder, perplexity, writing, looking inside.

Original: "Language Modeling with nn.Transformer and torchtext", the PyTorch tutorials, of 2023; removed in 2024.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from math import inf
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn, optim
from torch.utils.data import Dataset

from data import StudyError
from tutorials.common import checkpoint, figures, text
from tutorials.common.language_report import show_attention, show_leak, show_writing
from tutorials.common.muon import Muon
from tutorials.common.options import Options, parse
from tutorials.common.run import Run
from tutorials.common.stopping import one_line_errors
from tutorials.common.transformer import SinusoidalPositions, causal_mask, encoder_step
from tutorials.common.words import AdaptiveWords, Words
from tutorials.common.writing import Style, write

# N windows, T tokens of each, E width, V words


@dataclass
class LanguageModelOptions(Options):
    """A language model on WikiText-2."""

    batch_size: int = 20
    """Windows in a step, over all processes together."""
    length: int = 35
    """Tokens of a window: as far back as the net can see."""
    shuffle: bool = False
    """Cut windows anew in every epoch and shuffle them, instead of going down columns of text."""
    width: int = 200
    """Numbers that stand for a word at each layer."""
    hidden: int = 200
    """Hidden units of the feed-forward nets."""
    layers: int = 2
    """Layers of the encoder."""
    heads: int = 2
    """Heads of attention in each layer."""
    dropout: float = 0.2
    """Share of values that training sets to zero."""
    norm_first: bool = False
    """Normalise before attention and feed-forward net instead of behind them."""
    frequent: int = 0
    """Give only so many words a full output row and the rest a short one, tied to the input; 0: all words, untied."""
    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    """Muon updates the layers' matrices, and AdamW, with a tenth of the rate, all else."""
    lr: float = 5.0
    """Learning rate, at its highest."""
    decay: Literal["epochs", "cosine"] = "epochs"
    """Multiply the rate by 0.95 after each epoch, or warm up and follow a cosine to nothing."""
    weight_decay: float = 0.0
    """How fast weights shrink."""
    clip: float = 0.5
    """The longest gradient."""
    causal: bool = True
    """Hide what comes later. Without it the net reads the word that it should guess, as the original did in 2023."""
    text: str | None = None
    """Do not train: go on writing after this text, with the saved net of --run-dir or else the newest one."""
    tokens: int = 60
    """How many words to write."""
    temperature: float = 0.8
    """Below 1 likelier words become likelier still; 0 takes the likeliest."""
    top_k: int = 0
    """Choose among so many of the likeliest words; 0: all."""
    top_p: float = 0.9
    """Choose among the likeliest words that together have this probability."""

    keeping = Options.keeping | {"text", "tokens", "temperature", "top_k", "top_p"}
    limits = Options.limits | {
        "batch_size": (1, inf), "length": (2, 2048), "width": (2, inf), "hidden": (1, inf), "layers": (1, 100),
        "heads": (1, inf), "dropout": (0, 0.99), "frequent": (0, inf), "lr": (0, inf), "weight_decay": (0, inf),
        "clip": (0, inf), "tokens": (1, 4000), "temperature": (0, 100), "top_k": (0, inf), "top_p": (0, 1),
    }  # fmt: skip

    def check(self) -> None:
        super().check()
        if self.width % self.heads:
            raise ValueError(f"--heads must divide --width {self.width}, not be {self.heads}")


RECIPES = {
    "original": dict(epochs=3, log_every=200),
    "study": dict(epochs=6, batch_size=32, length=64, shuffle=True, width=192, hidden=768, layers=4, heads=4,
                  norm_first=True, frequent=4000, optimizer="muon", lr=0.02, decay="cosine", weight_decay=0.1,
                  clip=1.0),
    "study-tiny": dict(batch_size=16, length=32, width=48, hidden=96, layers=2, heads=2, dropout=0.0, frequent=40,
                       lr=0.05, epochs=5, log_every=20),
}  # fmt: skip
PUBLISHED = {"val/perplexity_by_chunks": 261.07, "test/perplexity_by_chunks": 240.24}


def main() -> None:
    options = parse(LanguageModelOptions, RECIPES)
    if options.text is not None:
        return write_on(options)
    with Run("language-model", options) as run:
        words, parts = load_text(run)
        net = run.distribute(LanguageModel(len(words), options))
        train(run, net, words, parts)
        net = load_net(run.folder / "best.safetensors")[0].to(run.device)
        test(run, net, words, parts)
        if run.journal:
            show_leak(run, net, len(words), parts["val"])
            show_attention(run, net, words, parts["val"])
            show_writing(run, net, words, parts["val"])


# 1. Text as one long row of numbers, and windows of it


def load_text(run: Run) -> tuple[list[str], dict[str, Tensor]]:
    """The training text's words, the most frequent first, and each part as numbers (tokens,); <unk> is number 0."""
    corpus, tokenise = run.load_data("wikitext2"), text.tokenizer()
    tokens = {
        part: list(chain.from_iterable(map(tokenise, getattr(corpus, part)))) for part in ("train", "val", "test")
    }
    counts = Counter(tokens["train"])
    counts.pop(text.UNKNOWN, None)
    words = [text.UNKNOWN, *sorted(counts, key=lambda word: (-counts[word], word))]
    vocabulary = text.vocabulary(words)
    parts = {part: torch.tensor(vocabulary(tokens[part])) for part in tokens}
    told = ", ".join(f"{len(numbers):,} of {part}" for part, numbers in parts.items())
    run.say(f"{len(words):,} words; tokens: {told}")
    return words, parts


class Windows(Dataset):
    """Windows of a text (tokens,): inputs and the same one token later, each (N, T).

    In columns, as the original has it, a batch takes one window from each of `columns` equal parts of the text, side by
    side, and the next batch goes on below; a text's end that fills no column is left out. Shuffled windows begin at a
    place that is drawn anew for every epoch.
    """

    def __init__(self, tokens: Tensor, length: int, columns: int = 0, seed: int = 0) -> None:
        self.tokens, self.length, self.columns, self.seed = tokens, length, columns, seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        if self.columns:
            height = len(self.tokens) // self.columns
            tops = torch.arange(0, height - 1, self.length)
            self.starts = (tops[:, None] + height * torch.arange(self.columns)).flatten()
            self.lengths = torch.clamp(height - 1 - tops, max=self.length).repeat_interleave(self.columns)
        else:
            generator = torch.Generator().manual_seed(1000 * self.seed + epoch)
            offset = int(torch.randint(self.length, (), generator=generator))
            count = (len(self.tokens) - self.length) // self.length  # the same in every epoch
            self.starts = offset + self.length * torch.arange(count)
            self.lengths = torch.full_like(self.starts, self.length)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        places = self.starts[indices][:, None] + torch.arange(int(self.lengths[indices[0]]))  # (N, T)
        return self.tokens[places], self.tokens[places + 1]


# 2. The net


class LanguageModel(nn.Module):
    """Tokens (N, T) and the tokens that follow them -> what each of these costs, in nats (N, T)."""

    def __init__(self, size: int, options: LanguageModelOptions) -> None:
        super().__init__()
        width = options.width
        self.scale, self.length, self.causal = math.sqrt(width), options.length, options.causal
        adaptive = 0 < options.frequent < size
        self.words = AdaptiveWords(size, width, options.frequent) if adaptive else Words(size, width)
        self.positions = SinusoidalPositions(width, options.dropout)
        layer = nn.TransformerEncoderLayer(
            width, options.heads, options.hidden, options.dropout, "gelu" if options.norm_first else "relu",
            batch_first=True, norm_first=options.norm_first,
        )  # fmt: skip
        norm = nn.LayerNorm(width) if options.norm_first else None
        self.encoder = nn.TransformerEncoder(layer, options.layers, norm, enable_nested_tensor=False)
        if options.norm_first:  # the encoder copies its layer: without this, as in the original, all begin alike
            for weight in self.encoder.layers.parameters():
                if weight.ndim > 1:
                    nn.init.xavier_uniform_(weight)
        self.dropout = nn.Dropout(options.dropout if options.norm_first else 0)

    def embed(self, tokens: Tensor, start: int = 0) -> Tensor:
        return self.positions(self.words.embed(tokens) * self.scale, start)

    def encode(self, tokens: Tensor) -> Tensor:
        """(N, T) -> (N, T, E)."""
        mask = causal_mask(tokens.shape[1], tokens.device) if self.causal else None
        return self.dropout(self.encoder(self.embed(tokens), mask=mask, is_causal=self.causal))

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        return self.words.nats(self.encode(tokens).flatten(0, 1), targets.flatten()).view_as(targets)

    def step(self, tokens: Tensor, start: int, past: list | None) -> tuple[Tensor, list]:
        """Log-probabilities (N, V) of what follows the new tokens (N, T), which begin at `start`; and what to keep."""
        x, past = encoder_step(self.encoder, self.embed(tokens, start), past)
        return self.words.log_prob(x[:, -1]), past


# 3. Train


def optimizers(net: nn.Module, options: LanguageModelOptions) -> list[optim.Optimizer]:
    """One optimizer, or Muon for the layers' matrices and AdamW for words, norms and biases."""
    if options.optimizer == "sgd":
        return [optim.SGD(net.parameters(), options.lr, weight_decay=options.weight_decay)]
    inner = {name for name, weight in net.named_parameters() if "layers." in name and weight.ndim == 2}
    matrices = [weight for name, weight in net.named_parameters() if name in inner]
    others = [weight for name, weight in net.named_parameters() if name not in inner]
    adamw = dict(betas=(0.9, 0.95), weight_decay=options.weight_decay)
    if options.optimizer == "adamw":
        return [optim.AdamW(matrices + others, options.lr, **adamw)]
    muon = Muon(matrices, options.lr, momentum=0.95, weight_decay=options.weight_decay)
    return [muon, optim.AdamW(others, options.lr / 10, **adamw)]


def rate(step: int, options: LanguageModelOptions, steps: int) -> float:
    """The share of the learning rate at a step, of `steps` in an epoch."""
    if options.decay == "epochs":
        return 0.95 ** (step // steps)
    done = step / (options.epochs * steps)
    return min(1.0, step / 200, 0.5 + 0.5 * math.cos(math.pi * done))


def train(run: Run, net: nn.Module, words: Sequence[str], parts: dict[str, Tensor]) -> None:
    """Train for all epochs and keep the net that is best on the validation text."""
    options = run.options
    windows = Windows(parts["train"], options.length, 0 if options.shuffle else options.batch_size, options.seed)
    trainloader = run.loader(windows, options.batch_size, shuffle=options.shuffle, collate_fn=tuple)
    updates = optimizers(net, options)
    schedulers = [
        optim.lr_scheduler.LambdaLR(one, lambda step: rate(step, options, len(trainloader))) for one in updates
    ]
    names = ("optimizer", "optimizer_of_words")
    run.track(
        net=net,
        **dict(zip(names, updates, strict=False)),
        **{f"scheduler_{i}": one for i, one in enumerate(schedulers)},
    )
    for _epoch in run.epochs():
        net.train()
        for inputs, targets in run.batches(trainloader):
            for optimizer in updates:
                optimizer.zero_grad()
            loss = net(inputs, targets).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), options.clip)
            for optimizer, scheduler in zip(updates, schedulers, strict=True):
                optimizer.step()
                scheduler.step()
            run.log("train", loss=loss)
        run.histograms()
        nats = measure(run, net, parts["val"])
        run.log("val", loss=nats, perplexity=math.exp(nats))
        run.keep_best(-nats, words=list(words))


def mean_nats(net: nn.Module, batches: Iterable[tuple[Tensor, Tensor, Tensor]], device: torch.device) -> float:
    """The mean cost of the targets that are counted, over batches of inputs, targets and which of them count (N, T)."""
    net.eval()
    total = count = 0.0
    with torch.no_grad():
        for inputs, targets, counted in batches:
            nats = net(inputs.to(device), targets.to(device)).cpu()
            total += float(nats[counted].double().sum())
            count += int(counted.sum())
    return total / count


def measure(run: Run, net: nn.Module, tokens: Tensor, rows: int = 64) -> float:
    """Mean nats of a text's tokens: each once, with at least half a window before it, except at the very beginning."""
    half, last = run.options.length // 2, len(tokens) - 2
    parts = torch.arange(-(-(last + 1) // half))[:, None] * half  # where each half window that is counted begins
    places = (parts - half).clamp(min=0) + torch.arange(2 * half)
    counted = (places >= parts) & (places < parts + half) & (places <= last)
    places = places.clamp(max=last)
    pieces = zip(places.split(rows), counted.split(rows), strict=True)
    return mean_nats(net, ((tokens[at], tokens[at + 1], which) for at, which in pieces), run.device)


def measure_by_chunks(run: Run, net: nn.Module, tokens: Tensor, length: int = 35, columns: int = 10) -> float:
    """Mean nats as the original measures: chunks of 35 tokens, whose first ones have next to nothing before them."""
    windows = Windows(tokens, length, columns)
    pairs = (windows.__getitems__(list(range(at, at + columns))) for at in range(0, len(windows), columns))
    return mean_nats(net, ((*pair, torch.ones_like(pair[1], dtype=torch.bool)) for pair in pairs), run.device)


def load_net(path: Path) -> tuple[LanguageModel, list[str]]:
    """The net that a run saved, on the CPU, and its words."""
    weights, about = checkpoint.load_best(path, "language-model")
    known = {field.name for field in fields(LanguageModelOptions)}
    options = LanguageModelOptions(**{name: value for name, value in about["options"].items() if name in known})
    net = LanguageModel(len(about["words"]), options)
    net.load_state_dict(weights)
    return net.eval(), about["words"]


# 4. Test


def test(run: Run, net: LanguageModel, words: Sequence[str], parts: dict[str, Tensor]) -> None:
    """Perplexities, by the original's way and by ours; bits per character; speed of writing; the run's summary."""
    metrics = {}
    for part in ("val", "test"):
        nats = measure(run, net, parts[part])
        letters = sum(len(words[token]) + 1 for token in parts[part][1:].tolist())  # with a blank after each word
        metrics[f"{part}/perplexity"] = math.exp(nats)
        metrics[f"{part}/perplexity_by_chunks"] = math.exp(measure_by_chunks(run, net, parts[part]))
        metrics[f"{part}/bits_per_character"] = nats * (len(parts[part]) - 1) / math.log(2) / letters
    counts = torch.bincount(parts["train"], minlength=len(words)) + 1.0  # each word as often as in the training text
    guess = math.exp(-(counts / counts.sum()).log()[parts["test"]].mean())
    if run.journal:
        run.figure("curves", figures.curves(run.folder / "metrics.jsonl", "perplexity"))
    official = run.options.data == "official" and run.options.causal
    run.finish(metrics, PUBLISHED if official else {}, {"test/perplexity": guess, "test/perplexity_by_chunks": guess})


# 5. Write


def write_on(options: LanguageModelOptions) -> None:
    """Print what the saved net writes after the text of --text."""
    with one_line_errors():
        path = checkpoint.find_best("language-model", options.run_dir)
        net, words = load_net(path)
        given = text.tokenizer()(options.text)
        if not given:
            raise StudyError("generate: the text holds no word. Give its beginning: TEXT='the history of'.")
        vocabulary = text.vocabulary(words)
        numbers = vocabulary(given)
        unknown = [word for word, number in zip(given, numbers, strict=True) if not number and word != text.UNKNOWN]
        if unknown:
            print(
                f"not among the {len(words):,} words of the training text, read as {text.UNKNOWN}: {', '.join(unknown)}"
            )
        style = Style(options.temperature, options.top_k, options.top_p, options.seed)
        written = write(net, numbers, options.tokens, style)
        print(f"{options.text} | {' '.join(words[token] for token in written)}\n(by the net of {path})")


if __name__ == "__main__":
    main()
