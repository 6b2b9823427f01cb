"""Classifying texts by a bag of embedded n-grams: AG_NEWS, or any csv file of labels and texts.

Original: "Text classification with the torchtext library", the PyTorch tutorials, which lost its n-grams in 2021.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor, nn, optim
from torch.utils.data import Dataset
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_f1_score

from data import StudyError
from data.tokens import Corpus
from tutorials.common import checkpoint, text
from tutorials.common.device import unwrap
from tutorials.common.ngrams import Ngrams, buckets_for, chunks, count_words, gather_rows
from tutorials.common.options import parse
from tutorials.common.rowwise import RowwiseAdagrad
from tutorials.common.run import Run
from tutorials.common.stopping import one_line_errors
from tutorials.common.text_report import learning_curve, show
from tutorials.common.text_rows import Rows, RowsOptions, load_texts

# N texts in a batch, S features of all of them together, D embedding, C classes


@dataclass
class TextOptions(RowsOptions):
    """Classifying texts: AG_NEWS, or with --csv any file of labels and texts."""

    dim: int = 64
    """Numbers in an embedding."""
    init: float = 0.5
    """Embeddings begin within plus and minus this."""
    idf: bool = False
    """Weigh features by their rarity, and texts to length one, instead of taking the mean."""
    word_dropout: float = 0.0
    """Share of the features that each training step leaves out."""
    dropout: float = 0.0
    """Share of the embedded text that each training step leaves out."""
    adagrad: bool = False
    """Adagrad for the table, of which a step then changes only what it used, Adam for the linear layer, and learning
    rates that fall in a straight line; without it, SGD as the original."""
    lr: float = 5.0
    """Learning rate at the start."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 leaves it as it is."""
    batch_size: int = 64
    """Texts in a step, over all processes together; 0 takes about a 200th of all, from 64 to 512."""
    curve: int = 0
    """Points of the learning curve besides the whole: nets trained on a half, a quarter, … of the texts."""

    limits = RowsOptions.limits | {
        "dim": (1, 4096), "init": (0, inf),
        "word_dropout": (0, 0.99), "dropout": (0, 0.99), "lr": (0, inf), "clip": (0, inf), "batch_size": (0, inf),
        "curve": (0, 10),
    }  # fmt: skip


RECIPES = {
    "original": dict(epochs=10, val_words=True, clip=0.1, log_every=500),
    "study": dict(epochs=4, distinct=True, ngrams=2, prefixes=(4, 5), dim=32, init=0.001, idf=True,
                  word_dropout=0.5, dropout=0.5, adagrad=True, lr=0.05, batch_size=0, curve=4),
}  # fmt: skip
PUBLISHED = {"test/accuracy": 0.907}
EXAMPLE = "here is an example"


def main() -> None:
    options = parse(TextOptions, RECIPES)
    if options.text is not None:
        return classify(options.text, options.run_dir)
    with Run("sentiment", options) as run:
        corpus, rows, classes = load_texts(run)
        ngrams = make_pipeline(run, corpus, rows)
        table = ngrams.table(corpus.lexicon)
        trainset, valset, testset = (Bags(corpus, part, ngrams, table) for part in (rows.train, rows.val, rows.test))
        net = run.distribute(make_net(options, ngrams, len(classes), trainset))
        train(run, net, trainset, valset, ngrams, classes)
        net = load_net(run.folder / "best.safetensors")[0]
        test(run, net.to(run.device), trainset, valset, testset, classes)


# 1. Tokenizer and vocabulary, 2. text and label pipelines


def make_pipeline(run: Run, corpus: Corpus, rows: Rows) -> Ngrams:
    """Text -> features, with the vocabulary of the training texts, the most frequent word first."""
    options = run.options
    counts = count_words(corpus, np.concatenate([rows.train, rows.val]) if options.val_words else rows.train)
    found = np.flatnonzero(counts)
    order = sorted(found.tolist(), key=lambda word: (-counts[word], corpus.lexicon[word]))
    words = [text.UNKNOWN, *(corpus.lexicon[word] for word in order if corpus.lexicon[word] != text.UNKNOWN)]
    example = text.tokenizer()(EXAMPLE)
    run.say(f"vocabulary: {len(words):,} words; {example} -> {text.vocabulary(words)(example)}")
    buckets = options.buckets or buckets_for(len(rows.train))
    return Ngrams(words, options.ngrams, buckets, tuple(options.prefixes))


# 3. Batches: the features of all texts in one row, with the place where each text begins


class Bags(Dataset):
    """Some texts of a corpus as labels (N,), features (S,) and offsets (N,); a batch is gathered without a loop."""

    def __init__(self, corpus: Corpus, rows: ndarray, ngrams: Ngrams, table: ndarray) -> None:
        self.corpus, self.rows, self.ngrams, self.table = corpus, rows, ngrams, table
        self.labels = torch.from_numpy(corpus.labels[self.rows])

    def part(self, rows: ndarray) -> "Bags":
        return Bags(self.corpus, rows, self.ngrams, self.table)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        words, places = gather_rows(self.corpus, self.rows[indices])
        features, offsets = self.ngrams.features(self.table, words, places, len(indices))
        return self.labels[indices], torch.from_numpy(features), torch.from_numpy(offsets)


# 4. The model


class Net(nn.Module):
    """EmbeddingBag and one linear layer. With idf, features are weighed and every text has length one."""

    def __init__(self, features: int, classes: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.weighed, self.word_dropout, self.dropout = options["idf"], options["word_dropout"], options["dropout"]
        mode = "sum" if self.weighed else "mean"
        self.embedding = nn.EmbeddingBag(features, options["dim"], mode=mode, sparse=options["adagrad"])
        self.fc = nn.Linear(options["dim"], classes)
        nn.init.uniform_(self.embedding.weight, -options["init"], options["init"])
        nn.init.uniform_(self.fc.weight, -0.5, 0.5)
        nn.init.zeros_(self.fc.bias)
        self.register_buffer("idf", torch.ones(features if self.weighed else 0))

    def weights(self, features: Tensor, offsets: Tensor) -> Tensor:
        """The weight of each feature (S,): its rarity, over the length of its text's vector of rarities."""
        idf, bags = self.idf[features], torch.zeros_like(features)
        bags = bags.index_add(0, offsets[1:], torch.ones_like(offsets[1:])).cumsum(0)  # which text each is of
        squares = idf.new_zeros(offsets.shape).index_add(0, bags, idf.square())  # (N,)
        return F.dropout(idf * squares.clamp(min=1e-6).rsqrt()[bags], self.word_dropout, self.training)

    def forward(self, features: Tensor, offsets: Tensor) -> Tensor:
        weights = self.weights(features, offsets) if self.weighed else None
        embedded = self.embedding(features, offsets, per_sample_weights=weights)  # (N, D)
        return self.fc(F.dropout(embedded, self.dropout, self.training))  # (N, C) scores


def make_net(options: TextOptions, ngrams: Ngrams, classes: int, trainset: Bags) -> Net:
    """A new net; its rarities are those of the training texts, and nothing for a feature that none of them has."""
    net = Net(ngrams.size, classes, vars(options))
    if options.idf:
        seen = np.zeros(ngrams.size, np.int64)
        for part in chunks(np.arange(len(trainset))):
            seen += np.bincount(trainset.__getitems__(part)[1], minlength=ngrams.size)
        idf = np.log((len(trainset) + 1) / (np.minimum(seen, len(trainset)) + 1)) + 1
        net.idf.copy_(torch.from_numpy(np.where(seen, idf, 0)))
    return net


# 5. Train and evaluate


def make_optimizers(net: Net, options: TextOptions, steps: int) -> tuple[list[optim.Optimizer], list[Any]]:
    """Optimizers and their schedulers: one for the table and one for the linear layer; or the original's SGD."""
    if not options.adagrad:
        optimizer = optim.SGD(net.parameters(), options.lr)
        return [optimizer], [optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)]
    table, layer = net.embedding.parameters(), net.fc.parameters()
    optimizers = [RowwiseAdagrad(table, options.lr), optim.Adam(layer, options.lr / 10)]
    return optimizers, [optim.lr_scheduler.LambdaLR(one, lambda step: 1 - step / steps) for one in optimizers]


def size_of_batch(options: TextOptions, texts: int) -> int:
    """Large batches are fast and small ones learn more from few texts: a power of two between."""
    return options.batch_size or min(512, max(64, 1 << max(1, texts // 200).bit_length() - 1))


def train(run: Run, net: nn.Module, trainset: Bags, valset: Bags, ngrams: Ngrams, classes: Sequence[str]) -> None:
    """Train for all epochs; keep the net that is best on the validation texts, with its vocabulary."""
    options = run.options
    trainloader = run.loader(trainset, size_of_batch(options, len(trainset)), shuffle=True, collate_fn=tuple)
    criterion = nn.CrossEntropyLoss()
    optimizers, schedulers = make_optimizers(unwrap(net), options, options.epochs * len(trainloader))
    run.track(net=net, optimizer=optimizers[0], scheduler=schedulers[0])
    if options.adagrad:
        run.track(optimizer2=optimizers[1], scheduler2=schedulers[1])
    for _ in run.epochs():
        net.train()
        for labels, features, offsets in run.batches(trainloader):
            net.zero_grad()
            scores = net(features, offsets)
            loss = criterion(scores, labels)
            loss.backward()
            if options.clip:
                nn.utils.clip_grad_norm_(net.parameters(), options.clip)
            for optimizer in optimizers:
                optimizer.step()
            if options.adagrad:
                for scheduler in schedulers:
                    scheduler.step()
            run.log("train", loss=loss, accuracy=(scores.argmax(1) == labels).float().mean())
        scores = predict(run, net, valset)
        accuracy = share_right(scores, valset)
        loss = float(criterion(scores, valset.labels))
        run.log("val", loss=loss, accuracy=accuracy)
        if not options.adagrad and run.best_score is not None and accuracy < run.best_score:
            schedulers[0].step()  # the original lowers its rate only when validation accuracy falls
        # Of few texts the loss says more surely than the accuracy which epoch is best.
        run.keep_best(-loss if options.adagrad else accuracy, classes=list(classes), **ngrams.about())


@torch.no_grad()
def predict(run: Run, net: nn.Module, dataset: Bags) -> Tensor:
    """Scores (N, C) of all texts, in order, on the CPU."""
    net.eval()
    loader = run.loader(dataset, batch_size=1000, collate_fn=tuple)
    scores = torch.cat([net(features, offsets) for _, features, offsets in run.each(loader)])
    return run.gather(scores, len(dataset)).cpu()


def share_right(scores: Tensor, dataset: Bags) -> float:
    return float((scores.argmax(1) == dataset.labels).float().mean())


def load_net(path: Path) -> tuple[Net, Ngrams, dict[str, Any]]:
    """The net that a run saved, on the CPU, what makes features of texts, and what is known about them."""
    weights, about = checkpoint.load_best(path, "sentiment")
    ngrams = Ngrams.of(about)
    net = Net(ngrams.size, len(about["classes"]), about["options"])
    net.load_state_dict(weights)
    return net.eval(), ngrams, about


# 6. Test on the test texts


def test(run: Run, net: Net, trainset: Bags, valset: Bags, testset: Bags, classes: list[str]) -> None:
    """Accuracy overall and for each class; figures and dashboard; the run's summary."""
    scores, labels, count = predict(run, net, testset), testset.labels, len(classes)
    matrix = multiclass_confusion_matrix(scores, labels, num_classes=count).numpy()
    metrics = {
        "test/accuracy": matrix.trace() / matrix.sum(),
        "test/macro_f1": float(multiclass_f1_score(scores, labels, num_classes=count, average="macro")),
        "test/loss": float(F.cross_entropy(scores, labels)),
    }
    for name, share in zip(classes, matrix.diagonal() / matrix.sum(1).clip(1), strict=True):
        run.say(f"accuracy for class {name:9s} is {100 * share:.1f} %")
    if run.journal:
        show(run, net, trainset, testset, scores, matrix, classes)
    if run.options.curve:  # by all processes, each of which trains the same nets
        whole = share_right(predict(run, net, valset), valset)
        learning_curve(
            run, trainset, whole, lambda part: share_right(predict(run, fit(run, part, count), valset), valset)
        )
    official = run.options.data == "official" and not run.options.csv
    chance = {"test/accuracy": matrix.sum(1).max() / matrix.sum(), "test/macro_f1": 1 / count}
    run.finish(metrics, PUBLISHED if official else {}, chance)


def fit(run: Run, trainset: Bags, classes: int) -> Net:
    """A net trained on some texts by the run's recipe, without its record."""
    options, size = run.options, size_of_batch(run.options, len(trainset))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        net = make_net(options, trainset.ngrams, classes, trainset).to(run.device).train()
        optimizers, schedulers = make_optimizers(net, options, options.epochs * (len(trainset) // size))
        for _ in range(options.epochs):
            for indices in torch.randperm(len(trainset)).split(size)[: len(trainset) // size]:
                labels, features, offsets = run.place.move(trainset.__getitems__(indices))
                net.zero_grad()
                F.cross_entropy(net(features, offsets), labels).backward()
                for part in [*optimizers, *schedulers] if options.adagrad else optimizers:
                    part.step()
    return net


# 7. Your own text


def classify(words: str, folder: Path | None) -> None:
    """Print the probabilities of all classes of any text, with the saved net of a run folder."""
    with one_line_errors():
        path = checkpoint.find_best("sentiment", folder)
        net, ngrams, about = load_net(path)
        tokens = text.tokenizer(about["options"]["unescape"])(words)
        if not tokens:
            raise StudyError(f'--text {words!r}: there is no word in it. Give a headline or a report: TEXT="…".')
        places = np.zeros(len(tokens), np.int64)
        features, offsets = ngrams.features(ngrams.table(tokens), np.arange(len(tokens)), places, 1)
        with torch.no_grad():
            scores = net(torch.from_numpy(features), torch.from_numpy(offsets))[0]
        known = np.count_nonzero((features > 0) & (features < len(ngrams.words)))
        print(f"by the net of {path}, which knows {known} of {len(tokens)} words:")
        for share, label in zip(*scores.softmax(0).sort(descending=True), strict=True):
            print(f"  {share:6.1%}  {about['classes'][label]}")


if __name__ == "__main__":
    main()
