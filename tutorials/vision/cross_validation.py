"""Honest figures from few pictures: repeated stratified folds, a paired test over them, what selection flatters by.

Sources: C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003 (the corrected
test); G. Cawley, N. Talbot, "On Over-fitting in Model Selection", JMLR 11, 2010.
"""

from dataclasses import dataclass

import numpy as np


def stratified_folds(labels: np.ndarray, folds: int, repeats: int, seed: int) -> list[np.ndarray]:
    """The test indices of each fold, `repeats` times `folds` of them: in one repeat every sample is tested once, and
    the classes are shared out evenly."""
    parts = []
    for repeat in range(repeats):
        rng, place = np.random.default_rng([seed, repeat]), np.empty(len(labels), int)
        shuffled = rng.permutation(len(labels))
        by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
        place[by_class] = np.arange(len(labels)) % folds
        parts += [np.flatnonzero(place == fold) for fold in range(folds)]
    return parts


def others(indices: np.ndarray, total: int) -> np.ndarray:
    """All of 0..total-1 but the indices."""
    return np.setdiff1d(np.arange(total), indices)


@dataclass(frozen=True)
class Estimate:
    """A mean over J folds, their standard deviation, a 95 % interval, and p of the true mean being nought."""

    mean: float
    sd: float
    low: float
    high: float
    p: float

    def figures(self) -> dict[str, float]:
        return {"mean": self.mean, "sd": self.sd, "low": self.low, "high": self.high}


def over_folds(values: np.ndarray, tested: float) -> Estimate:
    """The mean (J,) over folds, `tested` being the ratio of test to training samples of a fold.

    The folds share training samples, so their variance is too small by that much: s² (1/J + tested), t with J - 1.
    """
    values = np.asarray(values, float)
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return Estimate(mean, 0.0, -np.inf, np.inf, 1.0)
    sd = float(values.std(ddof=1))
    error = sd * np.sqrt(1 / count + tested)
    reach = t_quantile(0.975, count - 1) * error
    p = 2 * t_tail(abs(mean) / error, count - 1) if error else float(mean == 0)
    return Estimate(mean, sd, mean - reach, mean + reach, p)


def t_tail(t: float, freedom: int) -> float:
    """P(T > t) of Student's distribution, t >= 0: with t = sqrt(freedom) tan(a), the density is cos(a)^(freedom-1)."""
    start, end = np.arctan(t / np.sqrt(freedom)), np.pi / 2
    middles = (np.arange(10_000) + 0.5) / 10_000
    tail, half = ((end - low) * np.mean(np.cos(low + (end - low) * middles) ** (freedom - 1)) for low in (start, 0))
    return float(tail / half / 2)


def t_quantile(share: float, freedom: int) -> float:
    """The t below which that share (above a half) of Student's distribution lies, by bisection."""
    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, freedom) > 1 - share else (low, middle)
    return low


def select_on_half(correct: np.ndarray, seed: int, draws: int = 1000) -> float:
    """Accuracy of the epoch that is best on one half of the samples, measured on the other, over random halves.

    `correct` (E, N) says which samples each epoch had right. Of equal epochs the first is taken, as the original does.
    """
    rng, (_, count) = np.random.default_rng(seed), correct.shape
    total = 0.0
    for _ in range(draws):
        order = rng.permutation(count)
        chosen, judged = order[: count // 2], order[count // 2 :]
        total += correct[correct[:, chosen].mean(1).argmax(), judged].mean()
    return total / draws
