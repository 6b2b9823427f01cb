"""Classifying names by language with a character-level RNN: a cell written from linear layers, nn.RNN, GRU or LSTM.

Original: "NLP From Scratch: Classifying Names with a Character-Level RNN", the PyTorch tutorials. Published figure: the
page of 2025, one unseeded build.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import Dataset, random_split

from data import StudyError
from data import names as name_files
from data.names import ALPHABET, LONGEST, MARKS, UNKNOWN, Names, key, known_letters, spell, split_grouped, to_ascii
from tutorials.common import checkpoint, plots
from tutorials.common.device import predicting, unwrap
from tutorials.common.muon import ChainedOptimizer
from tutorials.common.options import TextFileOptions, parse
from tutorials.common.run import Run
from tutorials.reports import char_rnn as report
from tutorials.text.char_ngrams import CharNgrams

# N batch, T letters of the longest name in it, A letters of the alphabet, E embedding, H hidden, C classes


@dataclass
class NamesOptions(TextFileOptions):
    """Classify names by language with a character-level RNN."""

    marks: bool = False
    """Keep diacritics, which the original strips, as letters of the alphabet."""
    cell: Literal["linear", "rnn", "gru", "lstm"] = "rnn"
    """Recurrent cell: linear (written from linear layers), or nn.RNN, nn.GRU, nn.LSTM."""
    hidden_size: int = 128
    """Size of the hidden state."""
    layers: int = 1
    """Number of recurrent layers."""
    bidirectional: bool = False
    """Use a bidirectional RNN."""
    embed_dim: int = 0
    """Size of the letter embeddings; 0: one-hot vectors, as in the original."""
    pool: bool = False
    """Classify from the max-pooled and mean-pooled hidden states as well as from the last one."""
    dropout: float = 0.0
    """Dropout before the output layer, and between recurrent layers."""
    embed_dropout: float = 0.0
    """Dropout on the letter embeddings."""
    ngrams: int = 0
    """Add the logits of a bag of character n-grams up to this length; 0: none."""
    batch_size: int = 64
    """Batch size, over all processes together."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """Optimizer of the RNN; the weights of the n-grams always use Adagrad."""
    lr: float = 0.15
    """Learning rate; with a schedule, its peak."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning-rate schedule; cosine: linear warmup over the first 5 % of the steps, then cosine decay to zero."""
    sum_losses: bool = False
    """Sum the losses of a batch, as the original does, instead of averaging them."""
    grad_clip: float = 3.0
    """Gradient-clipping norm; inf: no clipping."""
    label_smoothing: float = 0.0
    """Label smoothing."""
    logit_adjustment: float = 0.0
    """Multiple of the log class priors that is subtracted from the logits in evaluation, in favor of rare classes."""
    grouped: bool = False
    """Use a stratified 85/5/10 split in which no name is in two parts; else the original's random 85/15 split."""
    folder: Path | None = None
    """Train on your own data: a folder with a <class>.txt for each class, one name per line."""
    name: str | None = None
    """Do not train: classify this name, with the saved model of --run-dir or else the newest one."""

    own = ("folder",)
    keeping = TextFileOptions.keeping | {"name"}
    limits = TextFileOptions.limits | {
        "hidden_size": (1, 4096), "layers": (1, 16), "ngrams": (0, 8), "embed_dim": (0, 4096), "dropout": (0, 0.95),
        "embed_dropout": (0, 0.95), "batch_size": (1, inf), "lr": (0, inf), "grad_clip": (1e-9, inf),
        "label_smoothing": (0, 1), "logit_adjustment": (0, 2),
    }  # fmt: skip

    def check(self) -> None:
        super().check()
        if self.cell == "linear" and (self.layers > 1 or self.bidirectional):
            raise ValueError("--cell linear has one layer and one direction; its equivalent, --cell rnn, may have more")


RECIPES = {
    # The page takes nn.RNN; the cell from linear layers is the same function. A point of the curve for each epoch, 266
    # steps: the original's average batch loss. Its operations are too short to share among threads.
    "original": dict(epochs=27, cell="linear", sum_losses=True, log_every=266, threads=1),
    "study": dict(epochs=13, marks=True, cell="gru", bidirectional=True, embed_dim=64, pool=True, dropout=0.4,
                  embed_dropout=0.1, ngrams=5, batch_size=128, optimizer="adamw", lr=4e-3, schedule="cosine",
                  grad_clip=1.0, label_smoothing=0.05, logit_adjustment=0.1, grouped=True),
}  # fmt: skip
EXAMPLES = ("Satoshi", "Schmidhuber", "Dovesky", "Jackson")  # of the original's page
PUBLISHED = {"train/loss_epoch_25": 0.4345}  # no accuracy was ever printed


def main() -> None:
    options = parse(NamesOptions, RECIPES)
    if options.name is not None:
        return predict_name(options.name, options.run_dir)
    with Run("names", options) as run:
        trainset, valset, testset = split(load_names(run), run)
        net = run.distribute(CharRNN(options, len(trainset.classes), trainset.labels))
        train(run, net, trainset, valset)
        net = load_net(run.folder / "best.safetensors")[0].to(run.device)
        metrics, chance = test(run, net, trainset, testset)
        if run.logger:
            net = net.cpu()  # cuDNN's RNNs have gradients in training mode alone
            report.explain(run, net, testset, encode, EXAMPLES if options.data == "official" else ())
            small = replace(options, layers=1, bidirectional=False, pool=False, ngrams=0)
            nets = {cell: CharRNN(replace(small, cell=cell), len(trainset.classes)) for cell in ("linear", "gru")}
            run.figure("vanishing_gradients", report.vanishing_gradients(nets, trainset))
        run.finish(metrics, PUBLISHED if options.data == "official" else {}, chance)


# 1. Turning names into tensors


def encode(names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Indices of the letters (N, T), shorter names padded at the end, and lengths (N,)."""
    lengths = torch.tensor([len(name) for name in names])
    letters = torch.zeros(len(names), int(lengths.max()), dtype=torch.long)
    for row, name in zip(letters, names, strict=True):
        row[: len(name)] = torch.tensor([(ALPHABET + MARKS).index(letter) for letter in name])
    return letters, lengths


class NamesDataset(Dataset):
    """All names as tensors in memory: a batch is one indexing operation, cut to its longest name."""

    def __init__(self, names: Names) -> None:
        self.names, self.classes, self.labels = names.names, names.classes, torch.from_numpy(names.labels)
        self.letters, self.lengths = encode(names.names)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        lengths = self.lengths[indices]
        return self.letters[indices, : int(lengths.max())], lengths, self.labels[indices]


def load_names(run: Run) -> Names:
    """The names; says how many lines were left out and which have letters outside the alphabet."""
    own = run.options.folder
    names = run.load_data("names", own and partial(name_files.read_folder, own, run.options.encoding))
    run.say(f"{len(names.names):,} names of {len(names.classes)} classes; {names.empty} empty lines left out; "
            f"{len(names.foreign)} with letters outside the alphabet, read as {UNKNOWN}")  # fmt: skip
    for line in names.foreign[:3]:
        run.say(f"  {line}")
    return names if run.options.marks else names.to_ascii()


def split(names: Names, run: Run) -> tuple[NamesDataset, NamesDataset | None, NamesDataset]:
    """Training, validation and test set. The seed draws the grouped split too, so that the spread over seeds includes
    which few names of a small language are tested; the original's split is always the same."""
    if run.options.grouped:
        parts = split_grouped(names, run.options.seed)
    else:
        generator = torch.Generator().manual_seed(2024)
        count = len(names.names)
        held_out = max(1, math.floor(0.15 * count))
        train_part, test_part = random_split(range(count), [count - held_out, held_out], generator)
        parts = names.part(train_part.indices), None, names.part(test_part.indices)
    sizes = [len(part.names) if part else 0 for part in parts]
    run.say("{:,} names to train, {:,} to validate, {:,} to test with".format(*sizes))
    return tuple(part and NamesDataset(part) for part in parts)


# 2. Creating the network


class LinearRNN(nn.Module):
    """The page's cell, from linear layers: h(t) = tanh(i2h(x(t)) + h2h(h(t-1))). One layer of nn.RNN is the same."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.i2h = nn.Linear(input_size, hidden_size)
        self.h2h = nn.Linear(hidden_size, hidden_size)
        for weight in self.parameters():
            nn.init.uniform_(weight, -(hidden_size**-0.5), hidden_size**-0.5)  # as nn.RNN does

    def forward(self, x: Tensor, lengths: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Inputs (N, T, E) of names of some lengths (N,) -> all hidden states (N, T, H), each name's last (1, N, H)."""
        h = x.new_zeros(len(x), self.h2h.in_features) if hidden is None else hidden[0]
        states = []
        for from_letter in self.i2h(x).unbind(1):  # of all letters in one product: only h2h has to wait for h
            h = torch.tanh(from_letter + self.h2h(h))  # (N, H)
            states.append(h)
        states = torch.stack(states, 1)
        last = states[torch.arange(len(x), device=x.device), lengths - 1]  # what follows it comes from the padding
        return states, last[None]


class CharRNN(nn.Module):
    """Letters -> recurrent cell -> linear layer -> logits; 26,386 parameters for the original's 18 classes."""

    def __init__(self, options: NamesOptions, classes: int, labels: Tensor | None = None) -> None:
        super().__init__()
        self.alphabet_size = len(ALPHABET + MARKS) if options.marks else len(ALPHABET)
        self.embedding = nn.Embedding(self.alphabet_size, options.embed_dim) if options.embed_dim else None
        input_size, hidden_size = options.embed_dim or self.alphabet_size, options.hidden_size
        if options.cell == "linear":
            self.rnn = LinearRNN(input_size, hidden_size)
        else:
            kind = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[options.cell]
            between = options.dropout if options.layers > 1 else 0.0
            self.rnn = kind(input_size, hidden_size, options.layers, batch_first=True, dropout=between,
                            bidirectional=options.bidirectional)  # fmt: skip
        self.directions, self.pool = 1 + options.bidirectional, options.pool
        self.h2o = nn.Linear(hidden_size * self.directions * (3 if self.pool else 1), classes)
        self.embed_dropout, self.dropout = nn.Dropout(options.embed_dropout), nn.Dropout(options.dropout)
        self.ngrams = CharNgrams(classes, options.ngrams) if options.ngrams else None
        counts = torch.ones(classes) if labels is None else labels.bincount(minlength=classes).clamp(min=1)
        self.register_buffer("adjustment", options.logit_adjustment * (counts / counts.sum()).log())

    def forward(self, letters: Tensor, lengths: Tensor) -> Tensor:
        logits = self.classify(self.embed(letters), lengths)  # (N, C)
        if self.ngrams:
            logits = logits + self.ngrams(letters, lengths)
        # Menon et al., "Long-tail learning via logit adjustment", 2021, post hoc: against the bias to large classes.
        return logits if self.training else logits - self.adjustment

    def embed(self, letters: Tensor) -> Tensor:
        """The vector of each letter (N, T, E), learned or one-hot."""
        if self.embedding:
            return self.embedding(letters)
        return F.one_hot(letters, self.alphabet_size).to(self.h2o.weight.dtype)

    def classify(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The logits of the RNN (N, C)."""
        return self.h2o(self.dropout(self.features(self.embed_dropout(x), lengths)))

    def features(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The last hidden state of each name, and with `pool` the maximum and the mean of all of them."""
        states, hidden = self.run_cell(x, lengths)
        last = hidden[-self.directions :].transpose(0, 1).flatten(1)  # of the top layer: (N, directions * H)
        if not self.pool:
            return last
        padding = (torch.arange(states.shape[1], device=x.device) >= lengths[:, None])[..., None]
        mean = states.masked_fill(padding, 0).sum(1) / lengths[:, None]
        return torch.cat([last, states.masked_fill(padding, -inf).amax(1), mean], 1)

    def run_cell(self, x: Tensor, lengths: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """All hidden states (N, T, directions * H), and those at the names' ends (layers * directions, N, H)."""
        if isinstance(self.rnn, LinearRNN):
            return self.rnn(x, lengths, hidden)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, hidden = self.rnn(packed, hidden)
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden  # an LSTM has a cell state too
        return pad_packed_sequence(states, batch_first=True)[0], hidden


# 3. Training


def train(run: Run, net: nn.Module, trainset: NamesDataset, valset: NamesDataset | None) -> None:
    """Train for all epochs; keep the weights of the lowest validation loss, or without a validation set, the last."""
    options = run.options
    trainloader = run.loader(trainset, options.batch_size, shuffle=True, collate_fn=tuple)
    criterion = nn.CrossEntropyLoss(label_smoothing=options.label_smoothing)  # log-softmax and negative log likelihood
    params = [weight for name, weight in net.named_parameters() if "ngrams" not in name]
    optimizer = (optim.AdamW if options.optimizer == "adamw" else optim.SGD)(params, options.lr)
    if options.ngrams:  # Adagrad: most n-grams are rare, and its steps for the weights of rare ones stay large
        optimizer = ChainedOptimizer(optimizer, optim.Adagrad(unwrap(net).ngrams.parameters(), lr=0.1))
    steps = options.epochs * len(trainloader)
    factor = (lambda step: warmup_cosine((step + 0.5) / steps)) if options.schedule == "cosine" else (lambda step: 1)
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, factor)
    run.track(net=net, optimizer=optimizer, scheduler=scheduler)
    for epoch in run.epochs():
        net.train()
        for letters, lengths, labels in run.batches(trainloader):
            net.zero_grad()
            logits = net(letters, lengths)
            loss = criterion(logits, labels)
            (loss * len(labels) * run.place.world_size if options.sum_losses else loss).backward()
            nn.utils.clip_grad_norm_(params, options.grad_clip)
            optimizer.step()
            scheduler.step()
            run.log("train", loss=loss, accuracy=(logits.argmax(1) == labels).float().mean())
        run.histograms()
        if valset:
            logits = predict(run, net, valset)
            accuracy = (logits.argmax(1) == valset.labels).float().mean()
            loss = float(criterion(logits, valset.labels))
            run.log("val", loss=loss, accuracy=accuracy, macro_f1=macro_f1(logits, valset))
        # Macro-F1 would choose by a few names of small classes.
        run.keep_best(-loss if valset else epoch, classes=trainset.classes)


def warmup_cosine(progress: float) -> float:
    """The factor of the learning rate after a share, 0 to 1, of the steps."""
    return min(1, 20 * progress) * (1 + math.cos(math.pi * progress)) / 2


def macro_f1(logits: Tensor, dataset: NamesDataset) -> float:
    from torchmetrics.functional.classification import multiclass_f1_score  # slow to import

    return float(multiclass_f1_score(logits, dataset.labels, num_classes=len(dataset.classes), average="macro"))


@torch.no_grad()
def predict(run: Run, net: nn.Module, dataset: NamesDataset) -> Tensor:
    """Logits (N, C) of all names, in order, on the CPU."""
    net.eval()
    loader = run.loader(dataset, batch_size=1000, collate_fn=tuple)
    logits = torch.cat([net(letters, lengths) for letters, lengths, _ in run.each(loader)])
    return run.gather(logits, len(dataset)).cpu()


@checkpoint.fits("names")
def load_net(path: Path) -> tuple[CharRNN, Sequence[str]]:
    """The model that a run saved, on the CPU, and its class names."""
    weights, about = checkpoint.load_best(path, "names")
    net = CharRNN(NamesOptions(**about["options"]), len(about["classes"]))
    net.load_state_dict(weights)
    return net.eval(), about["classes"]


# 4. Evaluating the results


def test(run: Run, net: CharRNN, trainset: NamesDataset, testset: NamesDataset) -> tuple[dict[str, float], ...]:
    """Test metrics with the best accuracy possible (some names are in several languages), and chance level."""
    logits, labels = predict(run, net, testset), testset.labels
    correct = (logits.argmax(1) == labels).float()
    seen = set(map(key, trainset.names))
    new = torch.tensor([key(name) not in seen for name in testset.names])
    languages: dict[str, Counter[int]] = {}
    for name, label in zip(testset.names, labels.tolist(), strict=True):
        languages.setdefault(key(name), Counter())[label] += 1
    majority = float(labels.bincount().max() / len(labels))
    metrics = {
        "test/accuracy": float(correct.mean()),
        "test/macro_f1": macro_f1(logits, testset),
        "test/loss": float(F.cross_entropy(logits, labels)),
        "test/ceiling": sum(max(counts.values()) for counts in languages.values()) / len(labels),
        "test/new_names": float(new.float().mean()),  # that are not in the training set
    }
    if new.any():
        metrics["test/accuracy_new_names"] = float(correct[new].mean())
    if run.logger:
        report.show_results(run, testset, logits)
        steps, losses = plots.read_curves(run.folder / "metrics.jsonl").get("loss/train", ((), ()))
        if 25 * run.options.log_every in steps and run.options.log_every == len(trainset) // run.options.batch_size:
            metrics["train/loss_epoch_25"] = losses[steps.index(25 * run.options.log_every)]
    return metrics, {"test/accuracy": majority, "test/macro_f1": 2 * majority / (1 + majority) / len(testset.classes)}


# 5. Running on user input


def read_name(text: str, net: CharRNN) -> tuple[str, list[str]]:
    """A name in the model's alphabet, and its letters outside; raises StudyError for no letters, or too many."""
    if len(text) > LONGEST:
        raise StudyError(f"--name: it has {len(text):,} letters. Give at most {LONGEST}.")
    name, outside = known_letters((to_ascii if net.alphabet_size == len(ALPHABET) else spell)(text.strip()))
    if not name.strip(UNKNOWN + " "):
        raise StudyError(f"--name {text!r}: no letter of it is in the alphabet, which is: {ALPHABET[:-1]} "
                         "Give a name: make predict-names NAME=Satoshi")  # fmt: skip
    return name, outside


def predict_name(text: str, run_dir: Path | None) -> None:
    """Print the three most probable classes of any name, with the saved model of a run folder."""
    with predicting():
        path = checkpoint.find_best("names", run_dir)
        net, classes = load_net(path)
        name, outside = read_name(text, net)
        with torch.no_grad():
            probabilities, order = net(*encode([name]))[0].softmax(0).topk(min(3, len(classes)))
        note = f", outside the alphabet: {' '.join(outside)}" if outside else ""
        read = unicodedata.normalize("NFC", name)
        read = f" (read as {read}{note})" if read != text else ""
        print(f"{text}{read}, by the model of {checkpoint.describe(path, 'names')}:")
        for probability, label in zip(probabilities, order, strict=True):
            print(f"  {probability:6.1%}  {classes[label]}")


if __name__ == "__main__":
    main()
