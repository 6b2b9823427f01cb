"""Fine-tuning against the frozen net: on the published split, on folds, and against the number of pictures."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from tutorials.common import plots
from tutorials.common.console import print_table
from tutorials.common.parts import Part, Whole
from tutorials.vision import cross_validation, linear_probe
from tutorials.vision.transfer_setup import Lesson, fit_head, keep_features

# All layers learn when none has learnt, and faster.
SCRATCH = dict(lr=5e-4, depth_rate=1.0, frozen_share=0.0, frozen_norms=False)
SIZES = (5, 10, 25, 50, 100, 200, 500)  # images of each class in the learning curve
DRAWS = 5  # of images for each point of it, for the frozen features


def judge(lesson: Lesson, outcomes: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Accuracy on the published test images after the last epoch; as the original reports it; and without flattery."""
    metrics, lines, drifts = {}, {}, {}
    for name, outcome in outcomes.items():
        correct = (outcome["scores"].argmax(2) == lesson.labels[lesson.test]).numpy()  # (E, N)
        lines[name], drifts[name] = correct.mean(1), outcome.get("drift", [0.0])
        metrics |= {f"{name}/test_accuracy": float(lines[name][-1]), f"{name}/cpu_seconds": outcome["cpu"]}
        if lesson.options.select_best:
            best, honest = float(lines[name].max()), cross_validation.select_on_half(correct, lesson.options.seed)
            metrics |= {f"{name}/test_best_accuracy": best, f"{name}/test_honest_accuracy": honest,
                        f"{name}/flattery": best - honest, f"{name}/norm_drift": drifts[name][-1]}  # fmt: skip
    if lesson.options.select_best:
        honest = {f"{name}, honest": (range(1, len(line) + 1), [metrics[f"{name}/test_honest_accuracy"]] * len(line))
                  for name, line in lines.items()}  # fmt: skip
        by_epoch = {name: (range(1, len(line) + 1), line) for name, line in lines.items()}
        shown = [plots.Panel("test accuracy", by_epoch | honest)]
        if any(map(any, drifts.values())):  # not of a net without batch norm
            moved = {name: (range(1, len(line) + 1), line) for name, line in drifts.items()}
            shown.append(plots.Panel("drift of batch norm's means\n(standard deviations)", moved,
                                       axes={"ylim": (0, None)}))  # fmt: skip
        lesson.run.figure("selection", plots.panels(*shown, columns=2, width=5))
    return metrics


def compare_on_folds(lesson: Lesson, fine_tune: Callable[..., dict]) -> dict[str, float]:
    """Both on repeated stratified folds of all pictures, and whether their difference is more than noise."""
    run, options = lesson.run, lesson.options
    parts = cross_validation.stratified_folds(lesson.labels.numpy(), options.folds, options.repeats, options.seed)
    frozen, tuned = [], []
    for number, test in enumerate(parts):
        train = cross_validation.others(test, len(lesson.files))
        head = fit_head(lesson, lesson.features, train)
        frozen.append(accuracy(lesson, test, linear_probe.scores(lesson.features[test], head)))
        if number < options.folds * options.tuned_repeats:
            work = forgetting(partial(fine_tune, lesson, train, test, head))
            outcome = run.part(f"folds/{number}", work, test_every=options.epochs)
            tuned.append(accuracy(lesson, test, outcome["scores"][-1]))
    same = frozen[: len(tuned)]
    run.figure("folds", plots.paired(same, tuned, ("frozen", "fine-tuned"), "accuracy on the test part of a fold"))
    estimates = {
        name: cross_validation.over_folds(values, tested=1 / (options.folds - 1))
        for name, values in (("frozen", frozen), ("frozen_same", same), ("finetune", tuned))
    }
    difference = cross_validation.over_folds(np.subtract(tuned, same), tested=1 / (options.folds - 1))
    tell(run, {**estimates, "finetune - frozen_same": difference}, (len(frozen), len(same), len(tuned), len(tuned)))
    found = {f"{name}/fold_{key}": value for name, one in estimates.items() for key, value in one.figures().items()}
    return found | {f"difference/{key}": value for key, value in difference.figures().items()} | {
        "difference/p": difference.p}  # fmt: skip


def tell(run: Whole, estimates: Mapping[str, cross_validation.Estimate], counts: Sequence[int]) -> None:
    """The table of the folds, and what it says of the difference, its last row."""
    rows = [[name, str(count), *(f"{100 * value:.2f}" for value in one.figures().values())]
            for (name, one), count in zip(estimates.items(), counts, strict=True)]  # fmt: skip
    if run.is_main:
        print_table(("accuracy, per cent", "folds", "mean", "sd", "95 % from", "to"), rows)
    *_, difference = estimates.values()
    better = "fine-tuning" if difference.mean > 0 else "the frozen net"
    verdict = f"{better} is better" if difference.p < 0.05 else "neither is better by more than noise"
    run.say(f"on the same folds {verdict}: p = {difference.p:.2f} (corrected paired t-test)")


def accuracy(lesson: Lesson, test: np.ndarray, scores: Tensor) -> float:
    return float((scores.argmax(1) == lesson.labels[test]).float().mean())


def majority(labels: Tensor) -> float:
    """How often the most frequent class is right."""
    return float(labels.bincount().max() / len(labels))


def forgetting(work: Callable[[Part], dict[str, Any]]) -> Callable[[Part], dict[str, Any]]:
    """The same training, of whose outcome the weights are not kept."""
    return lambda part: {name: value for name, value in work(part).items() if name != "net"}


def learning_curve(lesson: Lesson, fine_tune: Callable[..., dict]) -> dict[str, float]:
    """Accuracy on the published test images from few images of each class on, pretrained and from random weights.

    The frozen features are fitted to several draws of the images; nets are trained on the first of them.
    """
    run, test = lesson.run, lesson.test
    largest = int(np.bincount(lesson.labels[lesson.train]).min())
    sizes = [size for size in SIZES if size < 0.8 * largest] + [largest]
    features = {"frozen": lesson.features, "random, frozen": keep_features(lesson, pretrained=False)[0]}
    lines: dict[str, dict[int, list[float]]] = {
        name: {} for name in ("finetune", "frozen", "scratch", "random, frozen")
    }
    for size in sizes:
        draws = [draw(lesson, size, number) for number in range(DRAWS)]
        heads = {}
        for name, own in features.items():
            strength = linear_probe.choose_strength(
                own[draws[0]], lesson.labels[draws[0]], len(lesson.classes), run.options.seed
            )
            heads[name] = [fit_head(lesson, own, train, strength) for train in draws]
            lines[name][size] = [accuracy(lesson, test, linear_probe.scores(own[test], head)) for head in heads[name]]
        epochs = run.options.epochs * max(1, min(4, largest // size))  # few images: more epochs, and still fewer steps
        for name, head, more in (("finetune", heads["frozen"][0], {}), ("scratch", None, SCRATCH)):
            work = forgetting(partial(fine_tune, lesson, draws[0], test, head, pretrained=name == "finetune"))
            outcome = run.part(f"curve/{name}-{size}", work, epochs=epochs, test_every=epochs, **more)
            lines[name][size] = [accuracy(lesson, test, outcome["scores"][-1])]
    run.figure("learning_curve", plots.spreads(lines, "training images of each class", "test accuracy"))
    return {
        f"curve/{name}/{size}": float(np.mean(values)) for name, line in lines.items() for size, values in line.items()
    }


def draw(lesson: Lesson, size: int, number: int) -> np.ndarray:
    """So many training images of each class."""
    rng, labels = np.random.default_rng([lesson.options.seed, size, number]), lesson.labels[lesson.train].numpy()
    return np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:size] for label in np.unique(labels)])
