"""Beam search, in NumPy: keep the likeliest beginnings of a caption, rather than only the likeliest next word."""

from collections.abc import Callable
from typing import Any

import numpy as np

# N captions at a time, K beams of each, V vocabulary


def beam_search(
    step: Callable[[np.ndarray, Any], tuple[np.ndarray, Any]],
    state: Any,
    start: int,
    end: int,
    shape: tuple[int, int],
    max_length: int = 30,
    alpha: float = 1.0,
) -> np.ndarray:
    """Captions (N, max_length), filled with `end`; `shape` is (N, K).

    `step` takes the latest words (N*K,) and the state, and gives scores (N*K, V) of the next words and the new state:
    arrays, in dicts or lists, with a row for each beam. Captions are ranked by log-probability / length^alpha, where
    the end counts as a word; what has not ended at max_length is ranked as it stands.
    """
    N, K = shape
    sentence = np.arange(N)[:, None]
    captions, best = np.full((N, max_length), end), np.full(N, -np.inf)
    texts, total = np.full((N, K, max_length), end), np.full((N, K), -np.inf)
    total[:, 0] = 0  # all beams begin alike: one of them is enough
    words = np.full((N, K), start)
    for t in range(max_length):
        scores, state = step(words.ravel(), state)
        together = total[:, :, None] + log_softmax(scores).reshape(N, K, -1)  # (N, K, V)
        V = together.shape[2]
        kept = np.argpartition(-together.reshape(N, -1), K - 1, axis=1)[:, :K]  # the K likeliest of all continuations
        worst = np.take_along_axis(together.reshape(N, -1), kept, axis=1).min(axis=1, keepdims=True)
        ended = np.where(together[:, :, end] >= worst, together[:, :, end], -np.inf) / (t + 1) ** alpha
        better = ended.max(axis=1) > best
        captions[better] = texts[better, ended.argmax(axis=1)[better]]
        best = np.maximum(best, ended.max(axis=1))

        together[:, :, end] = -np.inf
        together = together.reshape(N, -1)
        kept = np.argpartition(-together, K - 1, axis=1)[:, :K]
        total = np.take_along_axis(together, kept, axis=1)
        beam, words = np.divmod(kept, V)
        texts = texts[sentence, beam]
        texts[:, :, t] = words
        state = select(state, (K * sentence + beam).ravel())
        if (total.max(axis=1) / max_length**alpha <= best).all():
            break  # log-probabilities only fall: no beam can still win
    else:
        better = total.max(axis=1) / max_length**alpha > best
        captions[better] = texts[better, total.argmax(axis=1)[better]]
    return captions


def select(state: Any, rows: np.ndarray) -> Any:
    """The state of those beams."""
    if isinstance(state, dict):
        return {name: select(value, rows) for name, value in state.items()}
    if isinstance(state, list):
        return [select(value, rows) for value in state]
    return state[rows] if isinstance(state, np.ndarray) else state


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Log-probabilities of scores (..., V)."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
