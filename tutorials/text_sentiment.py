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

from data import StudyError
from data.tokens import Corpus
from tutorials.common import checkpoint
from tutorials.common.device import predicting, unwrap
from tutorials.common.options import parse
from tutorials.common.run import Run
from tutorials.reports.text_sentiment import learning_curve, show
from tutorials.text import tokenizer
from tutorials.text.classification_data import Rows, RowsOptions, load_texts
from tutorials.text.ngrams import Ngrams, buckets_for, chunks, count_words, gather_rows

# N texts in a batch, S features of all of them together, D embedding, C classes


@dataclass
class TextOptions(RowsOptions):
    """Classifying texts: AG_NEWS, or with --csv any file of labels and texts."""

    dim: int = 64
    """Numbers in an embedding; as many as classes at least."""
    idf: bool = False
    """Weigh features by their rarity, and texts to length one, instead of taking the mean."""
    bayes: float = 0.0
    """Begin with this much of a naive Bayes classifier's scores; 0 begins at random."""
    linear: bool = False
    """Let the learning rate fall in a straight line; without it, as the original: when accuracy falls."""
    word_dropout: float = 0.0
    """Share of the features that each training step leaves out."""
    lr: float = 5.0
    """Learning rate at the start."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 leaves it as it is."""
    batch_size: int = 64
    """Texts in a step, over all processes together."""
    curve: int = 0
    """Points of the learning curve besides the whole: nets trained on a half, a quarter, … of the texts."""

    limits = RowsOptions.limits | {
        "dim": (1, 4096), "bayes": (0, inf), "word_dropout": (0, 0.99),
        "lr": (0, inf), "clip": (0, inf), "batch_size": (1, inf), "curve": (0, 10)
    }  # fmt: skip


RECIPES = {
    "original": dict(epochs=10, val_words=True, clip=0.1, log_every=500),
    "study": dict(epochs=5, distinct=True, ngrams=2, prefixes=(4, 5), dim=8, idf=True, bayes=0.1, linear=True,
                  word_dropout=0.5, lr=20.0, batch_size=256, curve=4, log_every=5),
}  # fmt: skip
PUBLISHED = {"test/accuracy": 0.907}


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
        test(run, load_net(run.folder / "best.safetensors")[0].to(run.device), trainset, valset, testset, classes)


# 1. Tokenizer and vocabulary, 2. text and label pipelines


def make_pipeline(run: Run, corpus: Corpus, rows: Rows) -> Ngrams:
    """Text -> features, with the vocabulary of the training texts, the most frequent word first."""
    options = run.options
    counts = count_words(corpus, np.concatenate([rows.train, rows.val]) if options.val_words else rows.train)
    order = sorted((-counts[number], corpus.lexicon[number]) for number in np.flatnonzero(counts))
    words = [tokenizer.UNKNOWN, *(word for _, word in order if word != tokenizer.UNKNOWN)]
    example = tokenizer.tokenizer()("here is an example")
    run.say(f"vocabulary: {len(words):,} words; {example} -> {tokenizer.vocabulary(words)(example)}")
    return Ngrams(words, options.ngrams, options.buckets or buckets_for(len(rows.train)), tuple(options.prefixes))


# 3. Batches: the features of all texts in one row, with the place where each text begins


class Bags(Dataset):
    """Some texts of a corpus as labels (N,), features (S,) and offsets (N,); a batch is gathered without a loop."""

    def __init__(self, corpus: Corpus, rows: ndarray, ngrams: Ngrams, table: ndarray) -> None:
        self.corpus, self.rows, self.ngrams, self.table = corpus, rows, ngrams, table
        self.labels = torch.from_numpy(corpus.labels[self.rows])

    def share_right(self, scores: Tensor) -> float:
        return float((scores.argmax(1) == self.labels).float().mean())

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        words, places = gather_rows(self.corpus, self.rows[indices])
        features, offsets = self.ngrams.features(self.table, words, places, len(indices))
        return self.labels[indices], torch.from_numpy(features), torch.from_numpy(offsets)


def count_features(texts: Bags, features: int, classes: int) -> Tensor:
    """How often the texts of each class have each feature (F, C)."""
    seen = torch.zeros(features * classes)
    for part in chunks(np.arange(len(texts))):
        labels, found, offsets = texts.__getitems__(part)
        lengths = torch.diff(offsets, append=torch.tensor([len(found)]))
        places = found * classes + labels.repeat_interleave(lengths)
        seen += torch.bincount(places, minlength=len(seen))
    return seen.view(features, classes)


# 4. The model


class Net(nn.Module):
    """EmbeddingBag and one linear layer. With idf, features are weighed and every text has length one."""

    def __init__(self, features: int, classes: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.weighed, self.word_dropout = options["idf"], options["word_dropout"]
        # A step then costs nothing for the features that its texts do not have.
        mode, sparse = ("sum", True) if self.weighed else ("mean", False)
        dim = max(options["dim"], classes)
        self.embedding, self.fc = nn.EmbeddingBag(features, dim, mode=mode, sparse=sparse), nn.Linear(dim, classes)
        nn.init.uniform_(self.embedding.weight, -0.5, 0.5)
        nn.init.uniform_(self.fc.weight, -0.5, 0.5)
        nn.init.zeros_(self.fc.bias)
        self.register_buffer("idf", torch.ones(features if self.weighed else 0))

    def weights(self, features: Tensor, offsets: Tensor) -> Tensor:
        """The weight of each feature (S,): its rarity, over the length of its text's vector of rarities."""
        idf, bags = self.idf[features], torch.zeros_like(features)
        bags = bags.index_add(0, offsets[1:], torch.ones_like(offsets[1:])).cumsum(0)  # which text each is of
        squares = idf.new_zeros(offsets.shape).index_add(0, bags, idf.square())  # (N,)
        return idf * squares.clamp(min=1e-6).rsqrt()[bags]

    def forward(self, features: Tensor, offsets: Tensor) -> Tensor:
        if self.training and self.word_dropout:  # before all else: what is left out costs no time
            kept = torch.rand(features.shape, device=features.device) >= self.word_dropout
            offsets = F.pad(kept.cumsum(0), (1, 0))[offsets]
            features = features[kept]
        weights = self.weights(features, offsets) if self.weighed else None
        return self.fc(self.embedding(features, offsets, per_sample_weights=weights))  # (N, D) -> (N, C) scores


@torch.no_grad()
def make_net(options: TextOptions, ngrams: Ngrams, classes: int, trainset: Bags) -> Net:
    """A new net; with idf and bayes, it begins with what can be counted in the training texts.

    A feature that none of them has weighs nothing. Source: S. Wang, C. Manning, "Baselines and Bigrams", ACL, 2012.
    """
    net = Net(ngrams.size, classes, vars(options))
    seen = count_features(trainset, ngrams.size, classes) if options.idf or options.bayes else None  # (F, C)
    if options.idf:
        texts = seen.sum(1).clamp(max=len(trainset))
        net.idf.copy_(torch.where(texts > 0, ((len(trainset) + 1) / (texts + 1)).log() + 1, 0))
    if options.bayes:
        logs = ((seen + 1) / (seen + 1).sum(0)).log()
        ratios = (logs - logs.mean(1, keepdim=True)).where(seen.sum(1, keepdim=True) > 0, torch.zeros(()))
        nn.init.orthogonal_(net.fc.weight)  # so that the layer gives back what the table is made of
        torch.matmul(ratios * options.bayes, net.fc.weight, out=net.embedding.weight)
    return net


# 5. Train and evaluate


def make_optimizer(net: Net, options: TextOptions, steps: int) -> tuple[optim.Optimizer, Any]:
    """SGD and its scheduler, which is to be asked after each step, or by the original's rule."""
    if options.linear:  # every text moves the layer, so it needs smaller steps than the table
        layer = {"params": net.fc.parameters(), "lr": options.lr / 10}
        optimizer = optim.SGD([{"params": net.embedding.parameters()}, layer], options.lr)
        return optimizer, optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    optimizer = optim.SGD(net.parameters(), options.lr)
    return optimizer, optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)


def train(run: Run, net: nn.Module, trainset: Bags, valset: Bags, ngrams: Ngrams, classes: Sequence[str]) -> None:
    """Train for all epochs; keep the last net, or the original's best on the validation texts, with its vocabulary."""
    options = run.options
    trainloader = run.loader(trainset, options.batch_size, shuffle=True, collate_fn=tuple)
    criterion = nn.CrossEntropyLoss()
    optimizer, scheduler = make_optimizer(unwrap(net), options, options.epochs * len(trainloader))
    run.track(net=net, optimizer=optimizer, scheduler=scheduler)
    for epoch in run.epochs():
        net.train()
        for labels, features, offsets in run.batches(trainloader):
            optimizer.zero_grad()
            scores = net(features, offsets)
            loss = criterion(scores, labels)
            loss.backward()
            if options.clip:
                nn.utils.clip_grad_norm_(net.parameters(), options.clip)
            optimizer.step()
            if options.linear:
                scheduler.step()
            run.log("train", loss=loss, accuracy=(scores.argmax(1) == labels).float().mean())
        scores = predict(run, net, valset)
        accuracy = valset.share_right(scores)
        run.log("val", loss=criterion(scores, valset.labels), accuracy=accuracy)
        if not options.linear and run.best_score is not None and accuracy < run.best_score:
            scheduler.step()  # the original lowers its rate only when validation accuracy falls
        # A rate that falls by plan makes the last net the one meant; few validation texts would choose by luck.
        run.keep_best(epoch if options.linear else accuracy, classes=list(classes), **ngrams.about())


@torch.no_grad()
def predict(run: Run, net: nn.Module, dataset: Bags) -> Tensor:
    """Scores (N, C) of all texts, in order, on the CPU."""
    net.eval()
    loader = run.loader(dataset, batch_size=1000, collate_fn=tuple)
    scores = torch.cat([net(features, offsets) for _, features, offsets in run.each(loader)])
    return run.gather(scores, len(dataset)).cpu()


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
    from torchmetrics.functional.classification import (  # slow to import
        multiclass_confusion_matrix,
        multiclass_f1_score,
    )

    scores, labels, count = predict(run, net, testset), testset.labels, len(classes)
    matrix = multiclass_confusion_matrix(scores, labels, num_classes=count).numpy()
    metrics = {
        "test/accuracy": matrix.trace() / matrix.sum(),
        "test/macro_f1": float(multiclass_f1_score(scores, labels, num_classes=count, average="macro")),
        "test/loss": float(F.cross_entropy(scores, labels)),
    }
    for name, share in zip(classes, matrix.diagonal() / matrix.sum(1).clip(1), strict=True):
        run.say(f"accuracy for class {name:9s} is {100 * share:.1f} %")
    if run.logger:
        show(run, net, trainset, testset, scores, matrix, classes)
    if run.options.curve:  # by all processes, each of which trains the same nets
        whole = valset.share_right(predict(run, net, valset))
        learning_curve(
            run, trainset, whole, lambda part: valset.share_right(predict(run, fit(run, part, count), valset))
        )
    official = run.options.data == "official" and not run.options.csv
    chance = {"test/accuracy": matrix.sum(1).max() / matrix.sum(), "test/macro_f1": 1 / count}
    run.finish(metrics, PUBLISHED if official else {}, chance)


def fit(run: Run, trainset: Bags, classes: int) -> Net:
    """A net trained on some texts by the run's recipe, without its record."""
    options, size = run.options, run.options.batch_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        net = make_net(options, trainset.ngrams, classes, trainset).to(run.device).train()
        optimizer, scheduler = make_optimizer(net, options, options.epochs * (len(trainset) // size))
        for _ in range(options.epochs):
            for indices in torch.randperm(len(trainset)).split(size)[: len(trainset) // size]:
                labels, features, offsets = run.place.move(trainset.__getitems__(indices))
                optimizer.zero_grad()
                F.cross_entropy(net(features, offsets), labels).backward()
                optimizer.step()
                if options.linear:
                    scheduler.step()
    return net


# 7. Your own text


@torch.no_grad()
def judge(net: Net, ngrams: Ngrams, words: str) -> tuple[list[str], Tensor]:
    """The words of any text, and the scores (C,) of its classes; raises StudyError when it has no words."""
    tokens = tokenizer.tokenizer()(words)
    if not tokens:
        raise StudyError(f'--text {words!r}: there is no word in it. Give a headline or a report: TEXT="…".')
    places = np.zeros(len(tokens), np.int64)
    features, offsets = ngrams.features(ngrams.table(tokens), np.arange(len(tokens)), places, 1)
    return tokens, net(torch.from_numpy(features), torch.from_numpy(offsets))[0]


def classify(words: str, folder: Path | None) -> None:
    """Print the probabilities of all classes of any text, with the saved net of a run folder."""
    with predicting():
        net, ngrams, about = load_net(path := checkpoint.find_best("sentiment", folder))
        tokens, scores = judge(net, ngrams, words)
        known = np.count_nonzero(ngrams.table(tokens)[:, 0])
        print(f"by the net of {path}, which knows {known} of {len(tokens)} words:")
        for share, label in zip(*scores.softmax(0).sort(descending=True), strict=True):
            print(f"  {share:6.1%}  {about['classes'][label]}")


if __name__ == "__main__":
    main()
