"""Figures and dashboard of the names tutorial: confusion matrix, accuracies, saliency, vanishing gradients.

A data set of names has `names`, `letters` (N, T), `lengths` (N,), `labels` (N,) and `classes`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.utils.data import Dataset

from data.names import ALPHABET, MARKS
from tutorials.common import plots
from tutorials.common.run import Run
from tutorials.text import saliency


def show_results(run: Run, testset: Dataset, logits: Tensor) -> None:
    """Confusion matrix, accuracy by class and by length, precision-recall curves and misclassifications."""
    from torchmetrics.functional.classification import multiclass_confusion_matrix  # slow to import

    labels, classes = testset.labels, testset.classes
    correct = (logits.argmax(1) == labels).float()
    matrix = multiclass_confusion_matrix(logits, labels, num_classes=len(classes)).numpy()
    recall = matrix.diagonal() / np.maximum(matrix.sum(1), 1)
    for language, value, count in zip(classes, recall, matrix.sum(1), strict=True):
        run.say(f"{language:<12} {100 * value:5.1f} % of {count:,} test names")
    sizes = sorted(size for size, count in Counter(testset.lengths.tolist()).items() if count >= 10)
    accuracies = [float(correct[testset.lengths == size].mean()) for size in sizes]
    pairs = zip(sizes, accuracies, strict=True)
    run.say("accuracy by length: " + "  ".join(f"{size}: {accuracy:.3f}" for size, accuracy in pairs))
    overall = float(correct.mean())
    panel = plots.Panel("test accuracy", {"": (sizes, accuracies)}, "letters in the name (dashed: all names)",
                          line=overall, axes={"ylim": (0, 1.02)})  # fmt: skip
    run.figure("curves", plots.curves(run.folder / "metrics.jsonl"))
    run.figure("confusion", plots.confusion(matrix, classes))
    run.figure("language_accuracy", plots.bars(recall, classes, "test accuracy", overall, "all"))
    run.figure("length_accuracy", plots.panels(panel, width=6))
    run.logger.pr_curves(labels.numpy(), logits.softmax(1).numpy(), classes, run.step)
    run.logger.text("errors", errors(testset, logits), run.step)


def errors(testset: Dataset, logits: Tensor, count: int = 40) -> str:
    """The most confident misclassifications as a list in Markdown."""
    confidence, predicted = logits.softmax(1).max(1)
    confidence[predicted == testset.labels] = 0
    lines = []
    for i in confidence.argsort(descending=True)[: min(count, int((confidence > 0).sum()))].tolist():
        true, guess = (testset.classes[label] for label in (testset.labels[i], predicted[i]))
        lines.append(f"1. {testset.names[i]}: **{true}**, classified as **{guess}** (confidence {confidence[i]:.0%})")
    return "\n".join(lines) or "none"


def explain(run: Run, net: nn.Module, testset: Dataset, encode: Callable, examples: Sequence[str]) -> None:
    """Saliency of the name of each class that is classified with most confidence, predictions letter by letter, and
    letters and names in the embedding projector; `encode` makes letters (N, T) and lengths (N,) of names."""
    classes = testset.classes
    letters, lengths, labels = testset.__getitems__(range(min(1000, len(testset))))
    with torch.no_grad():
        probabilities = net(testset.letters, testset.lengths).softmax(1)
        features = net.features(net.embed(letters), lengths)
    vectors = net.embedding.weight if net.embedding else next(net.rnn.parameters()).T  # of one-hot letters: (A, H)
    symbols = [*ALPHABET.replace(" ", "␣"), *(f"◌{mark}" for mark in MARKS)]
    run.logger.embedding("letters", vectors.detach(), symbols[: len(vectors)], None, run.step)
    run.logger.embedding("names", features, [classes[label] for label in labels], None, run.step)
    best = [int((probabilities[:, label] * (testset.labels == label)).argmax()) for label in range(len(classes))]
    names = [testset.names[i] for i in best]
    heat = saliency.saliency(net, names, *encode(names), classes)
    run.figure("saliency", plots.heat_maps([heat], "position of the letter", "norm of the gradient, relative"))
    shown = [*examples, *sorted(names, key=len, reverse=True)][:4]
    prefixes = {name: [name[: end + 1] for end in range(len(name))] for name in shown}
    heats = [saliency.letter_by_letter(net, name, *encode(parts), classes) for name, parts in prefixes.items()]
    run.figure("letter_by_letter", plots.heat_maps(heats, "letters read so far", "probability", columns=1))


def vanishing_gradients(nets: Mapping[str, nn.Module], trainset: Dataset) -> "plots.Figure":
    """The norm of d loss / d h(t), back from the end of names, before and after an epoch on the training names: of
    names of one length, the 90th percentile."""
    length = int(trainset.lengths.float().quantile(0.9, interpolation="higher"))
    letters, _, labels = trainset.__getitems__((trainset.lengths == length).nonzero()[:200, 0].tolist())
    lines = {}
    for cell, net in nets.items():
        title = "linear layers" if cell == "linear" else cell.upper()
        for stage in ("untrained", "after one epoch"):
            if stage != "untrained":
                train_one_epoch(net, trainset)
            lines[f"{title}, {stage}"] = (range(length)[::-1], saliency.gradients_through_time(net, letters, labels))
    axes = {"yscale": "log"}
    panel = plots.Panel("mean norm of d loss / d h(t)", lines, "letters from t to the name's end", axes=axes)
    return plots.panels(panel, width=7)


def train_one_epoch(net: nn.Module, trainset: Dataset) -> None:
    optimizer = optim.AdamW(net.parameters(), 3e-3)
    for batch in torch.randperm(len(trainset)).split(128):
        *inputs, labels = trainset.__getitems__(batch)
        optimizer.zero_grad()
        F.cross_entropy(net(*inputs), labels).backward()
        optimizer.step()
