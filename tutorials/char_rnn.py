"""Names to languages, letter by letter: a recurrent net from linear layers, nn.RNN, GRU and LSTM behind one flag.

Original: "NLP From Scratch: Classifying Names with a Character-Level RNN", the PyTorch tutorials. Published figure: the
page of 2025, one unseeded build.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.utils.data import Dataset, random_split

from data import StudyError
from data.names import ALPHABET, MARKS, UNKNOWN, Names, folder, key, known_letters, spell, split_grouped, to_ascii
from tutorials.common import checkpoint, plots
from tutorials.common.device import predicting
from tutorials.common.options import Options, parse
from tutorials.common.run import Run
from tutorials.reports import char_rnn as report
from tutorials.text.char_ngrams import Grams

# N batch, T letters of the longest name in it, A letters of the alphabet, E embedding, H hidden, C classes


@dataclass
class NamesOptions(Options):
    """Names to languages, letter by letter."""

    marks: bool = False
    """Read the accents of letters, which the original drops, as letters of their own."""
    cell: Literal["linear", "rnn", "gru", "lstm"] = "rnn"
    """What carries the state from letter to letter: two linear layers by hand, nn.RNN, nn.GRU or nn.LSTM."""
    hidden: int = 128
    """Size of the state."""
    layers: int = 1
    """Cells on top of each other."""
    bidirectional: bool = False
    """Read each name from its end, too."""
    embedding: int = 0
    """Size of the vectors that stand for letters; 0: one-hot, as in the original."""
    readers: int = 1
    """Cells side by side, each taught to judge alone; the net's score is the mean of theirs."""
    grams: int = 0
    """Beside the cells, let each run of so many letters or fewer vote for the classes; 0: do not."""
    pool: bool = False
    """Judge by the largest and the mean state as well, not by the last alone."""
    dropout: float = 0.0
    """Share of the states that training drops before they are judged."""
    letter_dropout: float = 0.0
    """Share of the letters' vectors that training drops."""
    batch_size: int = 64
    """Names in a step, over all processes together."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """Plain SGD, or Adam with decoupled weight decay."""
    lr: float = 0.15
    """Learning rate; with --decay, its highest."""
    decay: bool = False
    """Raise the learning rate over the first steps, then lower it to nothing along a cosine."""
    sum_losses: bool = False
    """Follow the gradient of the sum of a batch's losses, as the original does, and not of their mean."""
    clip: float = 3.0
    """The longest gradient to follow; longer ones are shortened."""
    label_smoothing: float = 0.0
    """Share of each target that is spread over all classes."""
    balance: float = 0.0
    """How much of the classes' unequal sizes training keeps from the scores: 0 nothing, 1 all of it."""
    rebalance: float = 0.0
    """How much more of it to take out of the scores when they are used."""
    grouped: bool = False
    """Split so that no name is in two parts, with a validation part; else 85 to 15 at random, as the original."""
    folder: Path | None = None
    """Other lines to classify: a folder with a <class>.txt for each class."""
    name: str | None = None
    """Do not train: tell the language of this name, with the saved net of --run-dir or else the newest one."""

    keeping = Options.keeping | {"name"}
    limits = Options.limits | {
        "hidden": (1, 4096), "layers": (1, 16), "readers": (1, 16), "grams": (0, 8), "embedding": (0, 4096),
        "dropout": (0, 0.95), "letter_dropout": (0, 0.95), "batch_size": (1, inf), "lr": (0, inf), "clip": (1e-9, inf),
        "label_smoothing": (0, 1), "balance": (0, 2),
        "rebalance": (0, 2),
    }  # fmt: skip


RECIPES = {
    # The page takes nn.RNN; the cell by hand is the same function, and in batches faster. A point of the curve for each
    # epoch, 266 steps: the original's average batch loss. Its operations are too short to share among threads.
    "original": dict(epochs=27, cell="linear", sum_losses=True, log_every=266, threads=1),
    "study": dict(epochs=13, marks=True, cell="gru", bidirectional=True, embedding=64, grams=5, pool=True, dropout=0.4,
                  letter_dropout=0.1, batch_size=128, optimizer="adamw", lr=4e-3, decay=True, clip=1.0,
                  label_smoothing=0.05, balance=0.15, rebalance=0.2, grouped=True),
}  # fmt: skip
EXAMPLES = {"official": ("Satoshi", "Schmidhuber", "Dovesky", "Jackson"), "tiny": ()}  # of the original's page
PUBLISHED = {"train/loss_epoch_25": 0.4345}  # no accuracy was ever printed


def main() -> None:
    options = parse(NamesOptions, RECIPES)
    if options.name is not None:
        return predict_name(options.name, options.run_dir)
    if options.folder and not options.run_dir:
        options.run_dir = Path("runs") / f"names-{options.folder.resolve().name}-{options.recipe}-seed{options.seed}"
    with Run("names", options) as run:
        trainset, valset, testset = split(load_names(run), run)
        net = run.distribute(Net(options, len(trainset.classes), trainset.labels))
        train(run, net, trainset, valset)
        net = load_net(run.folder / "best.safetensors")[0].to(run.device)
        metrics, chance = test(run, net, trainset, testset)
        if run.logger:
            net = net.cpu()  # a GPU's kernels have gradients in training mode alone
            report.explain(run, net, testset, encode, () if run.options.folder else EXAMPLES[options.data])
            nets = {cell: plain(options, cell, len(trainset.classes)) for cell in ("linear", "gru")}
            run.figure("vanishing_gradients", report.vanishing_gradients(nets, trainset))
        run.finish(metrics, {} if options.folder or options.data == "tiny" else PUBLISHED, chance)


# 1. Names as tensors


def encode(names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Numbers of the letters (N, T), short names padded at their end, and lengths (N,)."""
    lengths = torch.tensor([len(name) for name in names])
    letters = torch.zeros(len(names), int(lengths.max()), dtype=torch.long)
    for row, name in zip(letters, names, strict=True):
        row[: len(name)] = torch.tensor([(ALPHABET + MARKS).index(letter) for letter in name])
    return letters, lengths


class Lines(Dataset):
    """All names as tensors, in memory: a batch is one gather, cut to its longest name, which leaves none to collate."""

    def __init__(self, names: Names) -> None:
        self.names, self.classes, self.labels = names.names, names.classes, torch.from_numpy(names.labels)
        self.letters, self.lengths = encode(names.names)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        lengths = self.lengths[indices]
        return self.letters[indices, : int(lengths.max())], lengths, self.labels[indices]


def load_names(run: Run) -> Names:
    """The names, and a word on lines that were left out and on letters outside the alphabet."""
    names = folder(run.options.folder) if run.options.folder else run.load_data("names")
    run.say(f"{len(names.names):,} names of {len(names.classes)} classes; {names.empty} empty lines left out; "
            f"{len(names.foreign)} with letters outside the alphabet, read as {UNKNOWN}")  # fmt: skip
    for line in names.foreign[:3]:
        run.say(f"  {line}")
    return names if run.options.marks else names.plain()


def split(names: Names, run: Run) -> tuple[Lines, Lines | None, Lines]:
    """Training, validation and test part. The seed draws the grouped split, so that the spread over seeds holds the
    luck of which few names of a small language are tested; the original's split is always the same."""
    if run.options.grouped:
        parts = split_grouped(names, run.options.seed)
    else:
        generator = torch.Generator().manual_seed(2024)
        kept, held_out = random_split(range(len(names.names)), [0.85, 0.15], generator)
        parts = names.part(kept.indices), None, names.part(held_out.indices)
    sizes = [len(part.names) if part else 0 for part in parts]
    run.say("{:,} names to train, {:,} to validate, {:,} to test with".format(*sizes))
    return tuple(part and Lines(part) for part in parts)


# 2. The network


class LinearRNN(nn.Module):
    """h(t) = tanh(i2h(x(t)) + h2h(h(t-1))), written from linear layers; takes and returns what nn.RNN does."""

    def __init__(self, inputs: int, hidden: int, layers: int = 1, dropout: float = 0.0, bidirectional=False) -> None:
        super().__init__()
        self.ways = 1 + bidirectional
        sizes = [inputs] + [hidden * self.ways] * (layers - 1)
        self.i2h = nn.ModuleList(nn.Linear(size, hidden) for size in sizes for _ in range(self.ways))
        self.h2h = nn.ModuleList(nn.Linear(hidden, hidden) for _ in self.i2h)
        self.dropout = nn.Dropout(dropout)
        for weight in self.parameters():
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)  # as nn.RNN's

    def forward(self, x: PackedSequence, first: Tensor | None = None) -> tuple[PackedSequence, Tensor]:
        if first is None:
            first = x.data.new_zeros(len(self.i2h), int(x.batch_sizes[0]), self.h2h[0].out_features)
        first, last = first[:, x.sorted_indices], []
        for number in range(0, len(self.i2h), self.ways):
            inputs = x._replace(data=self.dropout(x.data)) if number else x
            read = [self.read(inputs, first[number + way], number + way, bool(way)) for way in range(self.ways)]
            x = x._replace(data=torch.cat([states for states, _ in read], 1))
            last += [h[x.unsorted_indices] for _, h in read]
        return x, torch.stack(last)  # (layers * ways, N, H)

    def read(self, x: PackedSequence, first: Tensor, number: int, backwards: bool) -> tuple[Tensor, Tensor]:
        """All states, and the last of each name (N, H). Packed, the names that still run at a step are the first n."""
        i2h, h2h = self.i2h[number], self.h2h[number]
        from_letters = F.linear(x.data, i2h.weight, i2h.bias + h2h.bias)  # of all letters of all names in one product
        steps, h, states = from_letters.split(x.batch_sizes.tolist()), first, []
        for step in reversed(steps) if backwards else steps:
            going, n = len(h), len(step)
            if n != going:  # names have ended, or read backwards, begin
                h = h[:n] if n < going else torch.cat([h, first[going:n]])
            h = torch.tanh(torch.addmm(step, h, h2h.weight.T))  # (n, H)
            states.append(h)
        if backwards:
            return torch.cat(states[::-1]), h
        states, names = torch.cat(states), torch.arange(len(first), device=h.device)
        starts = x.batch_sizes.cumsum(0) - x.batch_sizes
        ends = starts[(x.batch_sizes[:, None] > torch.arange(len(first))).sum(0) - 1].to(h.device)
        return states, states[ends + names]


CELLS = {"linear": LinearRNN, "rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Reader(nn.Module):
    """A recurrent cell over the vectors of letters, and a linear layer from its states to the scores of the classes."""

    def __init__(self, inputs: int, classes: int, options: NamesOptions) -> None:
        super().__init__()
        self.ways, self.pool = 1 + options.bidirectional, options.pool
        between = options.dropout if options.layers > 1 else 0.0
        extra = {} if options.cell == "linear" else {"batch_first": True}
        self.cell = CELLS[options.cell](
            inputs, options.hidden, options.layers, dropout=between, bidirectional=options.bidirectional, **extra
        )
        self.letter_dropout, self.dropout = nn.Dropout(options.letter_dropout), nn.Dropout(options.dropout)
        self.out = nn.Linear(options.hidden * self.ways * (3 if self.pool else 1), classes)

    def features(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """What the cell has made of each name: its last states, and with `pool` the largest and the mean ones."""
        vectors = self.letter_dropout(vectors)
        packed = pack_padded_sequence(vectors, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, last = self.cell(packed)
        last = last[0] if isinstance(last, tuple) else last  # (layers * ways, N, H); LSTM has a second memory
        last = last[-self.ways :].transpose(0, 1).flatten(1)  # (N, ways * H)
        if not self.pool:
            return last
        states, _ = pad_packed_sequence(states, batch_first=True)  # (N, T, ways * H), zeros after a name's end
        ended = torch.arange(states.shape[1], device=states.device) >= lengths[:, None]
        largest = states.masked_fill(ended[..., None], -inf).amax(1)
        return torch.cat([last, largest, states.sum(1) / lengths[:, None]], 1)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        return self.out(self.dropout(self.features(vectors, lengths)))


class Net(nn.Module):
    """Readers of the same letters, whose mean score decides; 26,386 parameters for the original's one reader and 18
    classes."""

    def __init__(self, options: NamesOptions, classes: int, labels: Tensor | None = None) -> None:
        super().__init__()
        counts = torch.ones(classes) if labels is None else labels.bincount(minlength=classes).clamp(min=1)
        self.register_buffer("log_shares", (counts / counts.sum()).log())
        self.balance, self.rebalance = options.balance, options.rebalance
        self.symbols = len(ALPHABET + MARKS) if options.marks else len(ALPHABET)
        self.letters = nn.Embedding(self.symbols, options.embedding) if options.embedding else None
        inputs = options.embedding or self.symbols
        self.readers = nn.ModuleList(Reader(inputs, classes, options) for _ in range(options.readers))
        self.grams = Grams(classes, options.grams) if options.grams else None

    def vectors(self, letters: Tensor) -> Tensor:
        """The vector of each letter (N, T, E): learnt, or one-hot."""
        return (
            self.letters(letters)
            if self.letters
            else F.one_hot(letters, self.symbols).to(self.readers[0].out.weight.dtype)
        )

    def judge(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """The scores of the recurrent readers."""
        return torch.stack([reader(vectors, lengths) for reader in self.readers])

    def forward(self, letters: Tensor, lengths: Tensor) -> Tensor:
        scores = self.judge(self.vectors(letters), lengths)
        if self.grams:
            scores = torch.cat([scores, self.grams(letters, lengths)[None]])
        # Menon et al., "Long-tail learning via logit adjustment", 2021: what training adds, testing need not unlearn.
        return scores + (self.balance if self.training else -self.rebalance) * self.log_shares  # (R, N, C)


# 3. Training


def train(run: Run, net: nn.Module, trainset: Lines, valset: Lines | None) -> None:
    """Train for all epochs; keep the weights of the least loss on the validation names, or without any, the last."""
    options = run.options
    trainloader = run.loader(trainset, options.batch_size, shuffle=True, collate_fn=tuple)
    criterion = nn.CrossEntropyLoss(label_smoothing=options.label_smoothing)
    recurrent = [weight for name, weight in net.named_parameters() if "grams" not in name]
    movers = {"optimizer": (optim.AdamW if options.optimizer == "adamw" else optim.SGD)(recurrent, options.lr)}
    if options.grams:  # most runs of letters are rare: Adagrad takes no step for those that a batch does not have
        movers["votes"] = optim.Adagrad([weight for name, weight in net.named_parameters() if "grams" in name], lr=0.1)
    steps = options.epochs * len(trainloader)
    for name, optimizer in list(movers.items()):
        factor = lambda step: rate(step / steps) if options.decay else 1  # noqa: E731
        movers[f"{name}_schedule"] = optim.lr_scheduler.LambdaLR(optimizer, factor)
    scale = options.batch_size if options.sum_losses else 1
    run.track(net=net, **movers)
    for epoch in run.epochs():
        net.train()
        for letters, lengths, labels in run.batches(trainloader):
            net.zero_grad()
            scores = net(letters, lengths)
            loss = criterion(scores.flatten(0, 1), labels.repeat(len(scores)))
            (scale * loss).backward()
            clip_grad_norm_(recurrent, options.clip)
            for mover in movers.values():
                mover.step()
            run.log("train", loss=loss, accuracy=(scores.mean(0).argmax(1) == labels).float().mean())
        run.histograms()
        if valset:
            scores = predict(run, net, valset)
            right = (scores.argmax(1) == valset.labels).float().mean()
            loss = float(criterion(scores, valset.labels))  # macro-F1 hangs on a few names of small classes: too noisy
            run.log("val", loss=loss, accuracy=right, macro_f1=macro_f1(scores, valset))
        run.keep_best(-loss if valset else epoch, classes=trainset.classes)


def rate(done: float) -> float:
    """The learning rate's factor when so much of the training, 0..1, is done."""
    return min(1, 20 * done) * (1 + math.cos(math.pi * done)) / 2


def macro_f1(scores: Tensor, dataset: Lines) -> float:
    from torchmetrics.functional.classification import multiclass_f1_score  # slow to import

    return float(multiclass_f1_score(scores, dataset.labels, num_classes=len(dataset.classes), average="macro"))


@torch.no_grad()
def predict(run: Run, net: nn.Module, dataset: Lines) -> Tensor:
    """Scores (N, C) of all names, in order, on the CPU."""
    net.eval()
    loader = run.loader(dataset, batch_size=1000, collate_fn=tuple)
    rows = torch.cat([net(letters, lengths).mean(0) for letters, lengths, _ in run.each(loader)])
    return run.gather(rows, len(dataset)).cpu()


def load_net(path: Path) -> tuple[Net, Sequence[str]]:
    """The net that a run saved, on the CPU, and the names of its classes."""
    weights, about = checkpoint.load_best(path, "names")
    net = Net(NamesOptions(**about["options"]), len(about["classes"]))
    net.load_state_dict(weights)
    return net.eval(), about["classes"]


# 4. Evaluating the results


def test(run: Run, net: Net, trainset: Lines, testset: Lines) -> tuple[dict[str, float], dict[str, float]]:
    """Accuracy overall, by language and by length; what is the best possible, and what guessing would give."""
    scores, labels = predict(run, net, testset), testset.labels
    right = (scores.argmax(1) == labels).float()
    seen = set(map(key, trainset.names))
    new = torch.tensor([key(name) not in seen for name in testset.names])
    owners: dict[str, Counter[int]] = {}
    for name, label in zip(testset.names, labels.tolist(), strict=True):
        owners.setdefault(key(name), Counter())[label] += 1
    majority = float(labels.bincount().max() / len(labels))
    metrics = {
        "test/accuracy": float(right.mean()),
        "test/macro_f1": macro_f1(scores, testset),
        "test/loss": float(F.cross_entropy(scores, labels)),
        "test/ceiling": sum(max(counts.values()) for counts in owners.values()) / len(labels),  # of several languages
        "test/new_names": float(new.float().mean()),  # that training has not seen
    }
    if new.any():
        metrics["test/accuracy_new_names"] = float(right[new].mean())
    if run.logger:
        report.show_results(run, testset, scores)
        steps, losses = plots.read_curves(run.folder / "metrics.jsonl")["loss/train"]
        if 25 * run.options.log_every in steps and run.options.log_every == len(trainset) // run.options.batch_size:
            metrics["train/loss_epoch_25"] = losses[steps.index(25 * run.options.log_every)]
    return metrics, {"test/accuracy": majority, "test/macro_f1": 2 * majority / (1 + majority) / len(testset.classes)}


# 5. What the net has learnt: tutorials/reports/char_rnn.py


def plain(options: NamesOptions, cell: str, classes: int) -> Net:
    """A net of one cell that reads one way, to look into."""
    return Net(replace(options, cell=cell, layers=1, readers=1, grams=0, bidirectional=False, pool=False), classes)


# 6. Running on user input


def read_name(text: str, net: Net) -> tuple[str, list[str]]:
    """A name in the letters that the net knows, and those outside them; raises StudyError when no letter is left."""
    name, outside = known_letters((to_ascii if net.symbols == len(ALPHABET) else spell)(text.strip()))
    if not name.strip(UNKNOWN + " "):
        raise StudyError(
            f"--name {text!r}: no letter of it is in the alphabet, which is: {ALPHABET[:-1]} "
            "Give a name: make predict-names NAME=Satoshi"
        )
    return name, outside


def predict_name(text: str, run_dir: Path | None) -> None:
    """Print the three likeliest classes of any name, with the saved net of a run folder."""
    with predicting():
        path = checkpoint.find_best("names", run_dir)
        net, classes = load_net(path)
        name, outside = read_name(text, net)
        with torch.no_grad():
            shares, order = net(*encode([name])).mean(0)[0].softmax(0).sort(descending=True)
        note = f", outside the alphabet: {' '.join(outside)}" if outside else ""
        read = unicodedata.normalize("NFC", name)
        print(f"{text}{f' (read as {read}{note})' if read != text else ''}, by the net of {path}:")
        for share, label in list(zip(shares, order, strict=True))[:3]:
            print(f"  {share:6.1%}  {classes[label]}")


if __name__ == "__main__":
    main()
