"""Small measurements behind the answers to the questions of the LSTM and transformer notebooks (see ANSWERS.md).

The captioning study makes them. N batch, T time, H hidden units, E width, d width of a head.
"""

import time
from math import inf

import numpy as np

from from_scratch.activations import sigmoid
from from_scratch.captioning_solver import CaptioningSolver
from from_scratch.classifiers.transformer import CaptioningTransformer
from from_scratch.studies.study import Study
from from_scratch.transformer_layers import attention_forward

SEEDS = {"official": 3, "tiny": 1}


def open_gates(study: Study, T: int = 30, N: int = 100, H: int = 64) -> None:
    """An LSTM whose gates are sigmoids, and one whose gates are ReLUs: the cell after T steps, and the gates at 0."""
    rows = []
    for name, gate in (("sigmoid", sigmoid), ("ReLU", lambda a: np.maximum(a, 0))):
        rng = study.rng("gates")
        Wx, Wh = (rng.standard_normal((H, 4 * H)) / np.sqrt(H) for _ in range(2))
        h = c = np.zeros((N, H))
        shut = []
        for _ in range(T):
            i, f, o, g = np.split(rng.standard_normal((N, H)) @ Wx + h @ Wh, 4, axis=1)
            i, f, o = gate(i), gate(f), gate(o)
            c = f * c + i * np.tanh(g)
            h = o * np.tanh(c)
            shut.append(np.mean(f == 0))
        rows.append((name, float(np.abs(c).mean()), float(np.abs(c).max()), float(np.mean(shut))))
    head = ("gates", f"mean |c| after {T} steps", "largest |c|", "forget gates at 0, without gradient")
    study.table("LSTM gates", head, rows)


def scale_scores(study: Study, T: int = 50) -> None:
    """Attention with and without the division by the root of d: the largest weight, and the slope that is left.

    The slope is the trace of the softmax's Jacobian, sum p (1 - p): at 0 no score has a gradient.
    """
    rows = []
    for d in (4, 16, 64, 256, 1024):
        rng = study.rng(f"scores {d}")
        q, k, v = (rng.standard_normal((1, 8, T, d)) for _ in range(3))
        row = [d]
        for factor in (1.0, np.sqrt(d)):  # attention_forward divides; the factor takes that back
            weights = attention_forward(factor * q, k, v)[1][-1]
            row += [float(weights.max(axis=-1).mean()), float((weights * (1 - weights)).sum(axis=-1).mean())]
        rows.append(row)
    head = ("d", "largest weight", "slope", "largest weight, undivided", "slope, undivided")
    study.table("attention scores divided by sqrt(d)", head, rows)


def time_attention(study: Study, n: int = 256, d: int = 64, repeats: int = 15) -> None:
    """The cost of attention over n tokens of width d, when each doubles; the matrix products alone would be n n d."""
    rng, rows = study.rng("cost"), []
    for name, tokens, width in (("as it is", n, d), ("twice the width", n, 2 * d), ("twice the tokens", 2 * n, d),
                                ("four times the tokens", 4 * n, d)):  # fmt: skip
        q, k, v = (rng.standard_normal((1, 1, tokens, width)).astype(np.float32) for _ in range(3))
        best = inf
        for _ in range(repeats):
            start = time.perf_counter()
            attention_forward(q, k, v)
            best = min(best, time.perf_counter() - start)
        rows.append((name, tokens, width, 2 * tokens**2 * width / 1e6, 1e3 * best))
    study.table("cost of attention", ("", "n", "d", "million multiply-adds", "ms, best of 15"), rows)


class WithoutProjection(CaptioningTransformer):
    """Heads are joined and no more: the output projection of self-attention stays the identity."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.frozen = [name for name in self.params if name.endswith("self.Wo")]
        for name in self.frozen:
            self.params[name] = np.eye(len(self.params[name]), dtype=self.dtype)

    def loss(self, features: np.ndarray, captions: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
        loss, grads = super().loss(features, captions)
        return loss, grads | {name: np.zeros_like(grads[name]) for name in self.frozen}


def count_heads(study: Study, data: dict, captions: int = 2000, width: int = 64) -> None:
    """Small transformers with one head, with eight, and with eight that nothing mixes: their validation loss."""
    small = data | {f"train_{part}": data[f"train_{part}"][:captions] for part in ("captions", "image_idxs")}
    features, longest = data["train_features"].shape[1], data["train_captions"].shape[1]
    rows = []
    for kind, heads in ((CaptioningTransformer, 1), (CaptioningTransformer, 8), (WithoutProjection, 8)):
        name = f"{heads} head{'s' * (heads > 1)}{', no output projection' * (kind is WithoutProjection)}"
        losses = []
        for seed in range(SEEDS[study.options.data]):
            rng = study.rng(f"{name} {seed}")
            net = kind(data["word_to_idx"], features, width, heads, 2, longest, 4 * width, rng=rng)
            options = dict(update_rule="adam", optim_config={"learning_rate": 1e-3}, batch_size=25, num_epochs=6)
            solver = study.train(f"{name} {seed}", net, small, CaptioningSolver, False, num_val_samples=1000, **options)
            losses.append((longest - 1) * min(solver.val_loss_history))
        rows.append((name, sum(w.size for w in net.params.values()), float(np.mean(losses)), float(np.std(losses))))
    study.table("heads", ("attention", "parameters", "validation loss (nats a caption)", "sd over seeds"), rows)
