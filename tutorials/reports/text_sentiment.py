"""What a text classifier shows after its test: curves, confusion, its most telling n-grams, its errors, its words."""

import html
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor, nn
from torch.utils.data import Dataset

from tutorials.common import plots
from tutorials.common.run import Run
from tutorials.text.ngrams import Ngrams, gather_rows

TOLD = 14  # features of each class
READ = 20_000  # training texts in which hashed features are looked up
ERRORS, POINTS = 40, 2000


def show(
    run: Run, net: nn.Module, trainset: Dataset, testset: Dataset, scores: Tensor, matrix: ndarray, classes: list[str]
) -> None:
    """All figures of a test, and all that the dashboard has beside them."""
    recall = matrix.diagonal() / matrix.sum(1).clip(1)
    run.figure("curves", plots.curves(run.folder / "metrics.jsonl"))
    run.figure("confusion", plots.confusion(matrix, classes))
    run.figure("class_accuracy", plots.bars(recall, classes, "test accuracy", matrix.trace() / matrix.sum(), "all"))
    told = telling(net, trainset)
    run.figure("telling_ngrams", plots.ranked(dict(zip(classes, told, strict=True)), "weight for its class"))
    run.logger.pr_curves(testset.labels.numpy(), scores.softmax(1).numpy(), classes, run.step)
    run.logger.text("errors", errors(testset, scores, classes), run.step)
    _, features, offsets = run.place.move(testset.__getitems__([0]))
    run.logger.graph(net, (features, offsets))
    words = trainset.ngrams.words[1 : POINTS + 1]
    loads = load_of(net, torch.arange(1, len(words) + 1))
    labels = [f"{word} ({classes[label]})" for word, label in zip(words, loads.argmax(1).tolist(), strict=True)]
    vectors = net.embedding.weight[1 : len(words) + 1].detach().cpu()
    run.logger.embedding("words", vectors, labels, None, run.step)


@torch.no_grad()
def load_of(net: nn.Module, features: Tensor) -> Tensor:
    """What features (S,) add to the score of each class, less the mean over classes: (S, C)."""
    features = features.to(net.fc.weight.device)
    vectors = net.embedding.weight[features]
    if net.weighed:
        vectors = vectors * net.idf[features, None]
    scores = vectors @ net.fc.weight.T
    return (scores - scores.mean(1, keepdim=True)).cpu()


def weigh_words(net: nn.Module, ngrams: Ngrams, tokens: Sequence[str], label: int) -> dict[str, float]:
    """Those features of a text that weigh most for or against a class, spelt out, with their weight."""
    grid = ngrams.grid(ngrams.table(tokens), np.arange(len(tokens)), np.zeros(len(tokens), np.int64))
    there = np.argwhere(grid > 0)  # number 0 is the unknown word
    names = [ngrams.spell(column, tokens[place : place + ngrams.ngrams]) for place, column in there.tolist()]
    weights = dict(zip(names, load_of(net, torch.from_numpy(grid[grid > 0]))[:, label].tolist(), strict=True))
    most = sorted(filter(weights.get, weights), key=lambda name: -abs(weights[name]))[:TOLD]
    return {name: weights[name] for name in sorted(most, key=weights.get, reverse=True)}


def telling(net: nn.Module, trainset: Dataset) -> list[dict[str, float]]:
    """For each class the features that speak most for it, spelt out, among those that are not rare in training.

    A bucket is called by what falls into it most often.
    """
    grid, words, seen = read_some(trainset)
    common = np.flatnonzero(seen >= max(3, len(trainset) // 2000))
    loads = load_of(net, torch.from_numpy(common))
    told: list[dict[str, float]] = []
    for column in loads.T:
        best = column.topk(min(TOLD, len(common)))
        numbers, spelt = common[best.indices.numpy()], {}
        names = spell(trainset, grid, words, numbers)
        for number, value in zip(numbers.tolist(), best.values.tolist(), strict=True):
            spelt.setdefault(names[number], value)
        told.append(spelt)
    return told


def read_some(trainset: Dataset) -> tuple[ndarray, ndarray, ndarray]:
    """The grid of features of up to READ training texts, their words, and how often each feature comes in them."""
    step = -(-len(trainset) // READ)
    words, places = gather_rows(trainset.corpus, trainset.rows[::step])
    grid = trainset.ngrams.grid(trainset.table, words, places)
    return grid, words, np.bincount(grid[grid >= 0], minlength=trainset.ngrams.size) * step


def spell(trainset: Dataset, grid: ndarray, words: ndarray, features: ndarray) -> dict[int, str]:
    """The commonest spelling of each of some features."""
    lexicon, longest = trainset.corpus.lexicon, trainset.ngrams.ngrams
    spellings: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for place, column in np.argwhere(np.isin(grid, features)).tolist():
        run = [lexicon[word] for word in words[place : place + longest]]
        spellings[int(grid[place, column])][trainset.ngrams.spell(column, run)] += 1
    return {feature: counts.most_common(1)[0][0] for feature, counts in spellings.items()}


def errors(testset: Dataset, scores: Tensor, classes: list[str]) -> str:
    """A list in Markdown of the wrongly classified texts of which the net was surest."""
    confidence, predicted = scores.softmax(1).max(1)
    confidence[predicted == testset.labels] = 0
    worst = confidence.argsort(descending=True)[: min(ERRORS, int((confidence > 0).sum()))].tolist()
    lines = []
    for i in worst:
        words, _ = gather_rows(testset.corpus, testset.rows[[i]])
        spelt = html.escape(" ".join(testset.corpus.lexicon[word] for word in words))
        line = testset.corpus.lines[testset.rows[i]]
        true, guessed = classes[testset.labels[i]], classes[predicted[i]]
        lines.append(f"1. **{true}**, taken for **{guessed}** ({confidence[i]:.0%} sure, line {line}): {spelt}")
    return "\n".join(lines) or "none"


def learning_curve(run: Run, trainset: Dataset, whole: float, learn: Callable[[Dataset], float]) -> None:
    """Validation accuracy of nets that `learn` trains on a half, a quarter, … of the texts, beside all."""
    points = {len(trainset): whole}
    for halvings in range(1, run.options.curve + 1):
        rows = trainset.rows[:: 2**halvings]
        part = type(trainset)(trainset.corpus, rows, trainset.ngrams, trainset.table)
        if len(part) >= max(64, run.options.batch_size):
            points[len(part)] = learn(part)
    line = {size: [points[size]] for size in sorted(points)}
    run.figure("learning_curve", plots.spreads({"one net": line}, "training texts", "validation accuracy"))
