"""How good predictions are: accuracy with its confidence interval, calibration, and where models agree or differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# M models, N pictures

BINS = 10  # of confidence, for the calibration curve and the expected calibration error


@dataclass(frozen=True)
class Answers:
    """What one model predicts for N pictures: its top five classes (N, 5), the probability of the first (N,) and of the
    true class (N,), and the top one among the classes that there are pictures of (N,)."""

    top5: Tensor
    confidence: Tensor
    own: Tensor
    restricted: Tensor

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor, present: Sequence[int]) -> "Answers":
        """From logits (N, C) and labels (N,)."""
        probabilities = logits.softmax(1)
        confidence, top5 = probabilities.topk(5)
        own = probabilities.gather(1, labels[:, None])[:, 0]
        return cls(top5, confidence[:, 0].contiguous(), own, torch.tensor(present)[logits[:, present].argmax(1)])

    def right(self, labels: Tensor) -> Tensor:
        """Whether the top prediction is the true class (N,)."""
        return self.top5[:, 0] == labels


def score(answers: Answers, labels: Tensor) -> dict[str, float]:
    """The metrics of one model: accuracies, the 95 % confidence interval of the first (Wilson 1927: unlike the normal
    one it stays within 0..1), and the expected calibration error."""
    from scipy.stats import binomtest  # slow to import, both
    from torchmetrics.functional.classification import binary_calibration_error

    right = answers.right(labels)
    top1 = float(right.float().mean())
    low, high = binomtest(int(right.sum()), len(labels)).proportion_ci(method="wilson")
    return {
        "top1": top1,
        "top1_low": float(low),
        "top1_high": float(high),
        "top5": float((answers.top5 == labels[:, None]).any(1).float().mean()),
        "restricted_top1": float((answers.restricted == labels).float().mean()),
        "ece": float(binary_calibration_error(answers.confidence, right.long(), n_bins=BINS, norm="l1")),
    }


def reliability(answers: Answers, labels: Tensor) -> tuple[list[float], list[float]]:
    """Mean confidence and accuracy in each bin of confidence that is not empty."""
    from sklearn.calibration import calibration_curve  # slow to import

    correct = answers.right(labels).int().numpy()
    accuracy, confidence = calibration_curve(correct, answers.confidence.clamp(0, 1).numpy(), n_bins=BINS)
    return confidence.tolist(), accuracy.tolist()


def agreement(answers: Sequence[Answers]) -> Tensor:
    """For every two models the fraction of pictures with the same top prediction: (M, M)."""
    first = torch.stack([one.top5[:, 0] for one in answers])  # (M, N)
    return (first[:, None] == first[None]).float().mean(2)


def same_first(answers: Answers, reference: Answers) -> float:
    """The fraction of the reference's pictures, the first of all, with the same top prediction."""
    return float((answers.top5[: len(reference.top5), 0] == reference.top5[:, 0]).float().mean())


def hardest(answers: Sequence[Answers]) -> list[int]:
    """Pictures in the order of the models' mean probability of the true class, the lowest first."""
    return torch.stack([one.own for one in answers]).mean(0).argsort(stable=True).tolist()


def divided(families: Mapping[str, Sequence[Answers]], labels: Tensor) -> list[int]:
    """Pictures in the order of how much the families' probabilities of the true class differ."""
    own = torch.stack([torch.stack([one.own for one in members]).mean(0) for members in families.values()])  # (F, N)
    return own.std(0, correction=0).argsort(descending=True, stable=True).tolist()
