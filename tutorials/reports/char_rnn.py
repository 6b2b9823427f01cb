"""Figures and dashboard of the names tutorial: what is taken for what, and what the net has learnt.

A data set of lines has `names`, `letters` (N, T), `lengths` (N,), `labels` (N,) and `classes`.
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


def show_results(run: Run, testset: Dataset, scores: Tensor) -> None:
    """Which languages are taken for which, and how languages and lengths differ."""
    from torchmetrics.functional.classification import multiclass_confusion_matrix  # slow to import

    labels, classes = testset.labels, testset.classes
    right = (scores.argmax(1) == labels).float()
    matrix = multiclass_confusion_matrix(scores, labels, num_classes=len(classes)).numpy()
    recall = matrix.diagonal() / np.maximum(matrix.sum(1), 1)
    for language, share, count in zip(classes, recall, matrix.sum(1), strict=True):
        run.say(f"{language:<12} {100 * share:5.1f} % of {count:,} test names")
    sizes = sorted(size for size, count in Counter(testset.lengths.tolist()).items() if count >= 10)
    shares = [float(right[testset.lengths == size].mean()) for size in sizes]
    pairs = zip(sizes, shares, strict=True)
    run.say("accuracy by length: " + "  ".join(f"{size}: {share:.3f}" for size, share in pairs))
    overall = float(right.mean())
    panel = plots.Panel("test accuracy", {"": (sizes, shares)}, "letters in the name (dashed: all names)",
                          line=overall, axes={"ylim": (0, 1.02)})  # fmt: skip
    run.figure("curves", plots.curves(run.folder / "metrics.jsonl"))
    run.figure("confusion", plots.confusion(matrix, classes))
    run.figure("language_accuracy", plots.bars(recall, classes, "test accuracy", overall, "all"))
    run.figure("length_accuracy", plots.panels(panel, width=6))
    run.logger.pr_curves(labels.numpy(), scores.softmax(1).numpy(), classes, run.step)
    run.logger.text("errors", errors(testset, scores), run.step)


def errors(testset: Dataset, scores: Tensor, count: int = 40) -> str:
    """A list in Markdown of the wrongly told names of which the net was surest."""
    shares, guessed = scores.softmax(1).max(1)
    shares[guessed == testset.labels] = 0
    lines = []
    for i in shares.argsort(descending=True)[: min(count, int((shares > 0).sum()))].tolist():
        true, told = (testset.classes[label] for label in (testset.labels[i], guessed[i]))
        lines.append(f"1. {testset.names[i]}: **{true}**, taken for **{told}** ({shares[i]:.0%} sure)")
    return "\n".join(lines) or "none"


def explain(run: Run, net: nn.Module, testset: Dataset, encode: Callable, examples: Sequence[str]) -> None:
    """Which letters mattered in the name of each class of which the net is surest, how the judgement moves, and letters
    and names as vectors in the projector; `encode` makes letters (N, T) and lengths (N,) of names."""
    classes = testset.classes
    letters, lengths, labels = testset.__getitems__(range(min(1000, len(testset))))
    with torch.no_grad():
        shares = net(testset.letters, testset.lengths).mean(0).softmax(1)
        states = torch.cat([reader.features(net.vectors(letters), lengths) for reader in net.readers], 1)
    table = net.letters.weight if net.letters else next(net.readers.parameters()).T  # (A, E), of one-hot letters (A, H)
    symbols = [*ALPHABET.replace(" ", "␣"), *(f"◌{mark}" for mark in MARKS)]
    run.logger.embedding("letters", table.detach(), symbols[: len(table)], None, run.step)
    run.logger.embedding("names", states, [classes[label] for label in labels], None, run.step)
    surest = [int((shares[:, label] * (testset.labels == label)).argmax()) for label in range(len(classes))]
    names = [testset.names[i] for i in surest]
    heat = saliency.saliency(net, names, *encode(names), classes)
    run.figure("saliency", plots.heat_maps([heat], "place of the letter", "gradient, of the largest"))
    shown = [*examples, *sorted(names, key=len, reverse=True)][:4]
    begun = {name: [name[: end + 1] for end in range(len(name))] for name in shown}
    heats = [saliency.letter_by_letter(net, name, *encode(parts), classes) for name, parts in begun.items()]
    run.figure("letter_by_letter", plots.heat_maps(heats, "letters read so far", "probability", columns=1))


def vanishing_gradients(nets: Mapping[str, nn.Module], trainset: Dataset) -> "plots.Figure":
    """How long the gradient of the loss by the state is, back from a name's end, before and after a pass over the
    training names: of names of one length, that which nine in ten do not exceed."""
    length = int(trainset.lengths.float().quantile(0.9, interpolation="higher"))
    letters, _, labels = trainset.__getitems__((trainset.lengths == length).nonzero()[:200, 0].tolist())
    lines = {}
    for cell, net in nets.items():
        title = "by hand" if cell == "linear" else cell.upper()
        for stage in ("untrained", "after one pass"):
            if stage != "untrained":
                one_pass(net, trainset)
            lines[f"{title}, {stage}"] = (range(length)[::-1], saliency.gradients_through_time(net, letters, labels))
    axes = {"yscale": "log"}
    panel = plots.Panel("mean norm of d loss / d h(t)", lines, "letters from t to the name's end", axes=axes)
    return plots.panels(panel, width=7)


def one_pass(net: nn.Module, trainset: Dataset) -> None:
    """A quick training for a look into a net."""
    optimizer = optim.AdamW(net.parameters(), 3e-3)
    for batch in torch.randperm(len(trainset)).split(128):
        *inputs, labels = trainset.__getitems__(batch)
        optimizer.zero_grad()
        F.cross_entropy(net(*inputs)[0], labels).backward()
        optimizer.step()
