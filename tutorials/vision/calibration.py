"""How good answers are: shares with their uncertainty, calibration, and where several models agree or differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

# M models, N pictures

BINS = 10  # of confidence, for the reliability curve and the calibration error


@dataclass(frozen=True)
class Answers:
    """What one model said of N pictures: its five likeliest classes (N, 5), the share of the first (N,), the share of
    the true class (N,), and the likeliest among the classes that there are pictures of (N,)."""

    top5: Tensor
    confidence: Tensor
    own: Tensor
    restricted: Tensor

    @classmethod
    def of(cls, scores: Tensor, labels: Tensor, present: Sequence[int]) -> "Answers":
        """From scores (N, C) and labels (N,)."""
        shares = scores.softmax(1)
        confidence, top5 = shares.topk(5)
        own = shares.gather(1, labels[:, None])[:, 0]
        return cls(top5, confidence[:, 0].contiguous(), own, torch.tensor(present)[scores[:, present].argmax(1)])

    def right(self, labels: Tensor) -> Tensor:
        """Whether the first answer is the true class (N,)."""
        return self.top5[:, 0] == labels


def wilson(share: float, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share of `total` (Wilson 1927): unlike the normal one it stays within 0..1."""
    middle = share + z * z / (2 * total)
    reach = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (middle - reach) / (1 + z * z / total), (middle + reach) / (1 + z * z / total)


def score(answers: Answers, labels: Tensor) -> dict[str, float]:
    """The measures of one model: shares of right answers, the first's interval, and the expected calibration error."""
    from torchmetrics.functional.classification import binary_calibration_error  # slow to import

    right = answers.right(labels)
    top1 = float(right.float().mean())
    low, high = wilson(top1, len(labels))
    return {
        "top1": top1,
        "top1_low": low,
        "top1_high": high,
        "top5": float((answers.top5 == labels[:, None]).any(1).float().mean()),
        "restricted_top1": float((answers.restricted == labels).float().mean()),
        "ece": float(binary_calibration_error(answers.confidence, right.long(), n_bins=BINS, norm="l1")),
    }


def reliability(answers: Answers, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean confidence and share of right answers in each bin of confidence that is not empty."""
    right = answers.right(labels).float()
    places = (answers.confidence * BINS).long().clamp(max=BINS - 1)
    filled = [places == place for place in places.unique()]
    return (
        torch.stack([answers.confidence[here].mean() for here in filled]),
        torch.stack([right[here].mean() for here in filled]),
    )


def agreement(answers: Sequence[Answers]) -> Tensor:
    """For every two models the share of pictures that they give the same first answer: (M, M)."""
    first = torch.stack([one.top5[:, 0] for one in answers])  # (M, N)
    return (first[:, None] == first[None]).float().mean(2)


def same_first(answers: Answers, reference: Answers) -> float:
    """The share of the reference's pictures, the first of all, that get its first answer."""
    return float((answers.top5[: len(reference.top5), 0] == reference.top5[:, 0]).float().mean())


def hardest(answers: Sequence[Answers]) -> list[int]:
    """Pictures in the order of the models' mean share for the true class, the lowest first."""
    return torch.stack([one.own for one in answers]).mean(0).argsort(stable=True).tolist()


def divided(families: Mapping[str, Sequence[Answers]], labels: Tensor) -> list[int]:
    """Pictures on which the families differ, in the order of by how much their shares for the true class do."""
    own = torch.stack([torch.stack([one.own for one in members]).mean(0) for members in families.values()])  # (F, N)
    return own.std(0, correction=0).argsort(descending=True, stable=True).tolist()
