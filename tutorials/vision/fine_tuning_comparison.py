"""Fine-tuning against the fixed feature extractor, beyond the page's single split: repeated stratified folds with a
paired test, the learning curve, and the optimism of choosing the epoch on the images that are reported.

Sources: C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003 (the corrected
test); G. Cawley, N. Talbot, "On Over-fitting in Model Selection", JMLR 11, 2010.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from tutorials.common import plots
from tutorials.common.console import print_table
from tutorials.common.experiment import Experiment
from tutorials.vision import linear_probe

# From random weights all layers are trained, at a higher learning rate.
SCRATCH = dict(lr=5e-4, layer_decay=1.0, frozen_share=0.0, frozen_norms=False)
SIZES = (5, 10, 25, 50, 100, 200, 500)  # images of each class in the learning curve
DRAWS = 5  # of images for each point of it, for the frozen features


@dataclass(frozen=True)
class Estimate:
    """A mean over J folds, its standard deviation, a 95 % confidence interval, and the p-value of a zero mean."""

    mean: float
    sd: float
    low: float
    high: float
    p: float

    def figures(self) -> dict[str, float]:
        return {"mean": self.mean, "sd": self.sd, "low": self.low, "high": self.high}


def over_folds(values: Sequence[float], test_ratio: float) -> Estimate:
    """The corrected resampled t-test of the mean (J,) over folds; `test_ratio` is test to training samples in a fold.

    The folds share training samples, so s²/J is too small for the mean's variance: it is s² (1/J + test_ratio), and t
    has J - 1 degrees of freedom.
    """
    from scipy import stats  # slow to import

    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return Estimate(mean, 0.0, -np.inf, np.inf, 1.0)
    sd = float(np.std(values, ddof=1))
    error = sd * np.sqrt(1 / count + test_ratio)
    if not error:
        return Estimate(mean, sd, mean, mean, float(mean == 0))
    low, high = stats.t.interval(0.95, count - 1, mean, error)
    return Estimate(mean, sd, float(low), float(high), float(2 * stats.t.sf(abs(mean) / error, count - 1)))


def select_on_half(correct: np.ndarray, seed: int, draws: int = 1000) -> float:
    """Accuracy of the epoch that is best on one half of the samples, measured on the other, over random halves.

    `correct` (E, N) says which samples each epoch had right. Of equal epochs the first is taken, as the original does.
    """
    rng, (_, count) = np.random.default_rng(seed), correct.shape
    total = 0.0
    for _ in range(draws):
        order = rng.permutation(count)
        chosen, held_out = order[: count // 2], order[count // 2 :]
        total += correct[correct[:, chosen].mean(1).argmax(), held_out].mean()
    return total / draws


def on_published_split(run: Experiment, labels: Tensor, outcomes: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Accuracy on the test images after the last epoch; with --select-best also that of the best epoch, as the
    original reports it, and how much of it is optimism."""
    metrics, accuracies, drifts = {}, {}, {}
    for name, outcome in outcomes.items():
        correct = (outcome["scores"].argmax(2) == labels).numpy()  # (E, N)
        accuracies[name], drifts[name] = correct.mean(1), outcome.get("drift", [0.0])
        metrics |= {f"{name}/test_accuracy": float(accuracies[name][-1]), f"{name}/cpu_seconds": outcome["cpu"]}
        if run.options.select_best:
            best, honest = float(accuracies[name].max()), select_on_half(correct, run.options.seed)
            metrics |= {f"{name}/test_best_accuracy": best, f"{name}/test_honest_accuracy": honest,
                        f"{name}/flattery": best - honest, f"{name}/norm_drift": drifts[name][-1]}  # fmt: skip
    if run.options.select_best:
        honest = {f"{name}, selected on one half": [metrics[f"{name}/test_honest_accuracy"]] * len(line)
                  for name, line in accuracies.items()}  # fmt: skip
        shown = [plots.Panel("test accuracy", by_epoch(accuracies | honest))]
        if any(map(any, drifts.values())):  # not of a net without batch norm
            title = "drift of running means\n(standard deviations)"
            shown.append(plots.Panel(title, by_epoch(drifts), axes={"ylim": (0, None)}))
        run.figure("selection", plots.panels(*shown, columns=2, width=5))
    return metrics


def chance(metrics: Iterable[str], labels: Tensor, test: np.ndarray) -> dict[str, float]:
    """The accuracy of always predicting the most frequent class, of the test images and of all that the folds test."""
    guess = {kind: float(own.bincount().max() / len(own))
             for kind, own in (("accuracy", labels[test]), ("fold_mean", labels))}  # fmt: skip
    return {name: guess[kind] for name in metrics for kind in guess if name.endswith(kind)}


def by_epoch(lines: Mapping[str, Sequence[float]]) -> dict[str, tuple[range, Sequence[float]]]:
    return {name: (range(1, len(line) + 1), line) for name, line in lines.items()}


def on_folds(run: Experiment, labels: Tensor, features: Tensor, fine_tune: Callable[..., dict]) -> dict[str, float]:
    """Both on repeated stratified folds of all images, and whether their difference is significant. `fine_tune` takes a
    part, the indices of training and test images, and a head."""
    from sklearn.model_selection import RepeatedStratifiedKFold  # slow to import

    options = run.options
    splitter = RepeatedStratifiedKFold(n_splits=options.folds, n_repeats=options.repeats, random_state=options.seed)
    frozen, tuned = [], []
    for number, (train, test) in enumerate(splitter.split(features, labels)):
        head = linear_probe.fit_head(features[train], labels[train], options.seed)
        frozen.append(accuracy(linear_probe.logits(features[test], head), labels[test]))
        if number < options.folds:
            work = partial(fine_tune, train=train, test=test, head=head)
            outcome = run.trial(f"folds/{number}", work, test_every=options.epochs)
            tuned.append(accuracy(outcome["scores"][-1], labels[test]))
    same = frozen[: len(tuned)]
    run.figure("folds", plots.paired(same, tuned, ("frozen", "fine-tuned"), "accuracy on the test part of a fold"))
    estimates = {
        name: over_folds(values, test_ratio=1 / (options.folds - 1))
        for name, values in (("frozen", frozen), ("frozen_same", same), ("finetune", tuned))
    }
    difference = over_folds(np.subtract(tuned, same), test_ratio=1 / (options.folds - 1))
    shown = zip(
        [*estimates.items(), ("finetune - frozen_same", difference)], (len(frozen), *3 * [len(same)]), strict=True
    )
    rows = [[name, str(count), *(f"{100 * value:.2f}" for value in one.figures().values())]
            for (name, one), count in shown]  # fmt: skip
    if run.is_main:
        print_table(("accuracy, per cent", "folds", "mean", "sd", "95 % from", "to"), rows)
    better = "fine-tuning" if difference.mean > 0 else "the fixed feature extractor"
    verdict = f"{better} is better" if difference.p < 0.05 else "neither is significantly better"
    run.say(f"on the same folds {verdict}: p = {difference.p:.2f} (corrected paired t-test)")
    found = {f"{name}/fold_{key}": value for name, one in estimates.items() for key, value in one.figures().items()}
    return found | {f"difference/{key}": value for key, value in difference.figures().items()} | {
        "difference/p": difference.p}  # fmt: skip


def accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).float().mean())


def learning_curve(
    run: Experiment, labels: Tensor, train: np.ndarray, test: np.ndarray, features: Mapping[str, Tensor],
    fine_tune: Callable[..., dict], from_scratch: Callable[..., dict],
) -> dict[str, float]:  # fmt: skip
    """Test accuracy against the number of training images of each class, pretrained and from random weights.

    A head is fitted to each of `features` on several draws of the images; nets are trained on the first of them.
    """
    largest = int(labels[train].bincount().min())
    sizes = [size for size in SIZES if size < 0.8 * largest] + [largest]
    lines: dict[str, dict[int, list[float]]] = {name: {} for name in ("finetune", *features, "scratch")}
    for size in sizes:
        draws = [draw(train, labels[train].numpy(), size, [run.options.seed, size, number]) for number in range(DRAWS)]
        heads = {name: [linear_probe.fit_head(own[drawn], labels[drawn], run.options.seed) for drawn in draws]
                 for name, own in features.items()}  # fmt: skip
        for name, own in features.items():
            lines[name][size] = [accuracy(linear_probe.logits(own[test], head), labels[test]) for head in heads[name]]
        epochs = run.options.epochs * max(1, min(4, largest // size))  # few images: more epochs, and still fewer steps
        for name, training, head, more in (
            ("finetune", fine_tune, heads["frozen"][0], {}), ("scratch", from_scratch, None, SCRATCH)
        ):  # fmt: skip
            work = partial(training, train=draws[0], test=test, head=head)
            changes = dict(epochs=epochs, test_every=epochs, **more)
            outcome = run.trial(f"curve/{name}-{size}", work, **changes)
            lines[name][size] = [accuracy(outcome["scores"][-1], labels[test])]
    run.figure("learning_curve", plots.spreads(lines, "training images of each class", "test accuracy"))
    return {
        f"curve/{name}/{size}": float(np.mean(values)) for name, line in lines.items() for size, values in line.items()
    }


def draw(train: np.ndarray, labels: np.ndarray, size: int, seed: Sequence[int]) -> np.ndarray:
    """The indices of so many training images of each class."""
    rng = np.random.default_rng(seed)
    return train[np.concatenate([rng.permutation(np.flatnonzero(labels == one))[:size] for one in np.unique(labels)])]
