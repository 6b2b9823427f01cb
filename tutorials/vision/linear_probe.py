"""A linear classifier on a frozen net's features: features computed once and kept, the head fitted to its optimum."""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorials.common import checkpoint
from tutorials.vision.cross_validation import others, stratified_folds

# N samples, D features, C classes
Head = tuple[Tensor, Tensor]  # weights (C, D), bias (C,)
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)  # of the L2 penalty


def fingerprint(weights: Mapping[str, Tensor], files: Iterable[Path | bytes], more: str) -> str:
    """A hash of everything that features follow from: weights, the content of the files, and how they are viewed."""
    total = hashlib.sha256(more.encode())
    for name, weight in weights.items():
        total.update(name.encode() + weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    for file in files:
        total.update(hashlib.sha256(file if isinstance(file, bytes) else file.read_bytes()).digest())
    return total.hexdigest()[:20]


def kept(path: Path, compute: Callable[[], Tensor], say: Callable[[str], None]) -> tuple[Tensor, float]:
    """Features (N, D) from a file, or computed and written to it; and the processor seconds that computing took."""
    if path.exists():
        try:
            found = checkpoint.load(path)
            say(f"features: {tuple(found['features'].shape)} are at {path}; they took {found['cpu']:.1f} CPU seconds")
            return found["features"], found["cpu"]
        except checkpoint.BrokenCheckpointError:
            say(f"{path}: cut short; computed anew")
    since = time.process_time()
    features = compute()
    cpu = time.process_time() - since
    checkpoint.save(path, {"features": features, "cpu": cpu})
    say(f"features: {tuple(features.shape)} computed in {cpu:.1f} CPU seconds, kept at {path}")
    return features, cpu


def fit_path(features: Tensor, labels: Tensor, classes: int, strengths: Sequence[float]) -> list[Head]:
    """For each strength, from the strongest on, the weights (C, D) and bias (C,) of the logistic regression on features
    (N, D), labels (N,): the minimum of cross entropy + strength/2 |w|² over features of unit variance, by L-BFGS."""
    x = features.double()
    centre, scale = x.mean(0), x.std(0).clamp(min=1e-6)
    x, heads = (x - centre) / scale, []
    w = torch.zeros(classes, x.shape[1] + 1, dtype=torch.float64, requires_grad=True)  # the bias is its last column
    for strength in sorted(strengths, reverse=True):  # each begins where the stronger one ended
        optimizer = torch.optim.LBFGS([w], max_iter=100, tolerance_grad=1e-4, line_search_fn="strong_wolfe")

        def objective(strength: float = strength, optimizer: torch.optim.LBFGS = optimizer) -> Tensor:
            optimizer.zero_grad()
            penalty = strength / 2 * w[:, :-1].square().sum()
            loss = F.cross_entropy(torch.addmm(w[:, -1], x, w[:, :-1].T), labels) + penalty
            loss.backward()
            return loss

        optimizer.step(objective)
        weight, bias = w.detach()[:, :-1] / scale, w.detach()[:, -1]
        heads.append((weight.float(), (bias - weight @ centre).float()))
    return heads


def scores(features: Tensor, head: Head) -> Tensor:
    """Features (N, D) -> scores (N, C)."""
    weight, bias = head
    return features @ weight.T + bias


def choose_strength(features: Tensor, labels: Tensor, classes: int, seed: int, folds: int = 3) -> float:
    """The strength with the least cross entropy over folds of these samples, which are all for training."""
    folds = min(folds, int(torch.bincount(labels, minlength=classes).min()))
    strengths, losses = sorted(STRENGTHS, reverse=True), np.zeros(len(STRENGTHS))
    for held_out in stratified_folds(labels.numpy(), folds, 1, seed) if folds > 1 else ():
        inside = others(held_out, len(labels))
        for place, head in enumerate(fit_path(features[inside], labels[inside], classes, strengths)):
            losses[place] += float(F.cross_entropy(scores(features[held_out], head), labels[held_out], reduction="sum"))
    return strengths[int(losses.argmin())]


@torch.no_grad()
def put_into(head: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Set a Linear's or a 1 x 1 convolution's weight (C, D) and bias (C,)."""
    head.weight.copy_(weight.view_as(head.weight))
    head.bias.copy_(bias)
