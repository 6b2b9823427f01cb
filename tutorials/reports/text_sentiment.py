"""Figures and dashboard of a text classifier: curves, confusion matrix, largest weights, errors, embeddings."""

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

TOP = 14  # features of each class
SAMPLE = 20_000  # training texts in which hashed features are looked up
ERRORS, POINTS = 40, 2000


def show(
    run: Run, net: nn.Module, trainset: Dataset, testset: Dataset, logits: Tensor, matrix: ndarray, classes: list[str]
) -> None:
    """All figures of a test, and all that the dashboard has beside them."""
    recall = matrix.diagonal() / matrix.sum(1).clip(1)
    run.figure("curves", plots.curves(run.folder / "metrics.jsonl"))
    run.figure("confusion", plots.confusion(matrix, classes))
    run.figure("class_accuracy", plots.bars(recall, classes, "test accuracy", matrix.trace() / matrix.sum(), "all"))
    top = top_features(net, trainset)
    run.figure("telling_ngrams", plots.ranked(dict(zip(classes, top, strict=True)), "weight for its class"))
    run.logger.pr_curves(testset.labels.numpy(), logits.softmax(1).numpy(), classes, run.step)
    run.logger.text("errors", errors(testset, logits, classes), run.step)
    features, offsets = run.place.move((testset[0][1], torch.zeros(1, dtype=torch.int32)))
    run.logger.graph(net, (features, offsets))
    words = trainset.ngrams.words[1 : POINTS + 1]
    weights = class_weights(net, torch.arange(1, len(words) + 1))
    labels = [f"{word} ({classes[label]})" for word, label in zip(words, weights.argmax(1).tolist(), strict=True)]
    vectors = net.embedding.weight[1 : len(words) + 1].detach().cpu()
    run.logger.embedding("words", vectors, labels, None, run.step)


@torch.no_grad()
def class_weights(net: nn.Module, features: Tensor) -> Tensor:
    """What features (S,) add to the logit of each class, less the mean over classes: (S, C)."""
    features = features.to(net.fc.weight.device)
    vectors = net.embedding.weight[features]
    if net.weighted:
        vectors = vectors * net.idf[features, None]
    logits = vectors @ net.fc.weight.T
    return (logits - logits.mean(1, keepdim=True)).cpu()


def weigh_words(net: nn.Module, ngrams: Ngrams, tokens: Sequence[str], label: int) -> dict[str, float]:
    """The features of a text with the largest weights for or against a class, as text, and these weights."""
    grid = ngrams.grid(ngrams.table(tokens), np.arange(len(tokens)), np.zeros(len(tokens), np.int64))
    there = np.argwhere(grid > 0)  # number 0 is the unknown word
    names = [ngrams.spell(column, tokens[place : place + ngrams.ngrams]) for place, column in there.tolist()]
    weights = dict(zip(names, class_weights(net, torch.from_numpy(grid[grid > 0]))[:, label].tolist(), strict=True))
    most = sorted(filter(weights.get, weights), key=lambda name: -abs(weights[name]))[:TOP]
    return {name: weights[name] for name in sorted(most, key=weights.get, reverse=True)}


def top_features(net: nn.Module, trainset: Dataset) -> list[dict[str, float]]:
    """For each class the features with the largest weights for it, among those that are not rare in training.

    A bucket is named after the most frequent feature in it.
    """
    grid, words, counts = sample_features(trainset)
    common = np.flatnonzero(counts >= max(3, len(trainset) // 2000))
    weights = class_weights(net, torch.from_numpy(common))
    top: list[dict[str, float]] = []
    for column in weights.T:
        best = column.topk(min(TOP, len(common)))
        numbers, values = common[best.indices.numpy()], {}
        names = spell(trainset, grid, words, numbers)
        for number, value in zip(numbers.tolist(), best.values.tolist(), strict=True):
            values.setdefault(names[number], value)
        top.append(values)
    return top


def sample_features(trainset: Dataset) -> tuple[ndarray, ndarray, ndarray]:
    """The grid of features of up to SAMPLE training texts, their words, and the counts of each feature in all."""
    step = -(-len(trainset) // SAMPLE)
    words, places = gather_rows(trainset.corpus, trainset.rows[::step])
    grid = trainset.ngrams.grid(trainset.table, words, places)
    return grid, words, np.bincount(grid[grid >= 0], minlength=trainset.ngrams.size) * step


def spell(trainset: Dataset, grid: ndarray, words: ndarray, features: ndarray) -> dict[int, str]:
    """The most frequent text of each of some features."""
    lexicon, longest = trainset.corpus.lexicon, trainset.ngrams.ngrams
    spellings: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for place, column in np.argwhere(np.isin(grid, features)).tolist():
        run = [lexicon[word] for word in words[place : place + longest]]
        spellings[int(grid[place, column])][trainset.ngrams.spell(column, run)] += 1
    return {feature: counts.most_common(1)[0][0] for feature, counts in spellings.items()}


def errors(testset: Dataset, logits: Tensor, classes: list[str]) -> str:
    """The most confident misclassifications as a list in Markdown."""
    confidence, predicted = logits.softmax(1).max(1)
    confidence[predicted == testset.labels] = 0
    worst = confidence.argsort(descending=True)[: min(ERRORS, int((confidence > 0).sum()))].tolist()
    lines = []
    for i in worst:
        words, _ = gather_rows(testset.corpus, testset.rows[[i]])
        text = html.escape(" ".join(testset.corpus.lexicon[word] for word in words))
        line = testset.corpus.lines[testset.rows[i]]
        true, guess = classes[testset.labels[i]], classes[predicted[i]]
        lines.append(f"1. **{true}**, classified as **{guess}** (confidence {confidence[i]:.0%}, line {line}): {text}")
    return "\n".join(lines) or "none"


def learning_curve(run: Run, trainset: Dataset, whole: float, learn: Callable[[Dataset], float]) -> None:
    """Validation accuracy of models that `learn` trains on a half, a quarter, … of the texts, beside all of them."""
    points = {len(trainset): whole}
    for halvings in range(1, run.options.curve + 1):
        rows = trainset.rows[:: 2**halvings]
        part = type(trainset)(trainset.corpus, rows, trainset.ngrams, trainset.table)
        if len(part) >= max(64, run.options.batch_size):
            points[len(part)] = learn(part)
    line = {size: [points[size]] for size in sorted(points)}
    run.figure("learning_curve", plots.spreads({"one model": line}, "training texts", "validation accuracy"))
