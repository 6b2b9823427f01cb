"""The captioning RNN of CS231n: an image's features start the state, words come out one by one.

N batch, T words that are predicted, D features, W word vector, H hidden, V vocabulary.
"""

from types import ModuleType

import numpy as np

from from_scratch.checks import choice, floats, labels, shape
from from_scratch.rnn_layers import (
    affine_backward,
    affine_forward,
    lstm_backward,
    lstm_forward,
    lstm_step_forward,
    rnn_backward,
    rnn_forward,
    rnn_step_forward,
    temporal_affine_backward,
    temporal_affine_forward,
    temporal_softmax_loss,
    word_embedding_backward,
    word_embedding_forward,
)


class CaptioningRNN:
    """Captions from image features by a vanilla RNN or an LSTM.

    h0 = features·W_proj + b_proj; words -> W_embed -> RNN -> ·W_vocab + b_vocab -> softmax over the next word.
    `word_to_idx` needs "<NULL>", and "<START>" for sampling; `rng` is NumPy's legacy generator unless given.
    Raises ValueError for an unknown cell type and for a vocabulary without "<NULL>".
    Source: Vinyals et al., Show and tell (2015); CS231n, assignment 3.
    """

    def __init__(
        self,
        word_to_idx: dict[str, int],
        input_dim: int = 512,
        wordvec_dim: int = 128,
        hidden_dim: int = 128,
        cell_type: str = "rnn",
        dtype: type = np.float32,
        rng: ModuleType | np.random.Generator = np.random,
    ) -> None:
        choice("cell_type", cell_type, ("rnn", "lstm"))
        if "<NULL>" not in word_to_idx:
            raise ValueError('word_to_idx must have the word "<NULL>"')
        self.cell_type = cell_type
        self.dtype = dtype
        self.word_to_idx = word_to_idx
        self.idx_to_word = {i: w for w, i in word_to_idx.items()}
        self._null = word_to_idx["<NULL>"]
        self._start = word_to_idx.get("<START>")

        V, D, W, H = len(word_to_idx), input_dim, wordvec_dim, hidden_dim
        gates = {"rnn": 1, "lstm": 4}[cell_type] * H
        params = {  # the course's order of draws, so that its seeds give its weights
            "W_embed": rng.standard_normal((V, W)) / 100,
            "W_proj": rng.standard_normal((D, H)) / np.sqrt(D),
            "b_proj": np.zeros(H),
            "Wx": rng.standard_normal((W, gates)) / np.sqrt(W),
            "Wh": rng.standard_normal((H, gates)) / np.sqrt(H),
            "b": np.zeros(gates),
            "W_vocab": rng.standard_normal((H, V)) / np.sqrt(H),
            "b_vocab": np.zeros(V),
        }
        self.params = {name: value.astype(dtype) for name, value in params.items()}

    def _features(self, features: np.ndarray) -> np.ndarray:
        floats("features", features, 2)
        wanted = (len(features), len(self.params["W_proj"]))
        shape("features", features, wanted, f"to fit W_proj of {self.params['W_proj'].shape}")
        return features.astype(self.dtype, copy=False)

    def loss(self, features: np.ndarray, captions: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
        """The loss of predicting each word from those before it, and its gradients, one for each parameter.

        features (N, D), captions whole numbers (N, T+1); loss summed over time, <NULL> left out, divided by N.
        Raises TypeError or ValueError for arrays of the wrong kind or shape and for words outside the vocabulary.
        """
        features, captions = self._features(features), np.asarray(captions)
        if captions.ndim != 2 or captions.shape[1] < 2:
            raise ValueError(f"captions must be (N, T+1) with T at least 1, not {captions.shape}")
        labels("captions", captions, (len(features), captions.shape[1]), len(self.params["W_embed"]))
        words, targets = captions[:, :-1], captions[:, 1:]
        forward, backward = {"rnn": (rnn_forward, rnn_backward), "lstm": (lstm_forward, lstm_backward)}[self.cell_type]

        p, grads = self.params, {}
        h0, projection = affine_forward(features, p["W_proj"], p["b_proj"])
        x, embedding = word_embedding_forward(words, p["W_embed"])
        h, recurrence = forward(x, h0, p["Wx"], p["Wh"], p["b"])
        scores, vocabulary = temporal_affine_forward(h, p["W_vocab"], p["b_vocab"])
        loss, dscores = temporal_softmax_loss(scores, targets, targets != self._null)

        dh, grads["W_vocab"], grads["b_vocab"] = temporal_affine_backward(dscores, vocabulary)
        dx, dh0, grads["Wx"], grads["Wh"], grads["b"] = backward(dh, recurrence)
        grads["W_embed"] = word_embedding_backward(dx, embedding)
        _, grads["W_proj"], grads["b_proj"] = affine_backward(dh0, projection)
        return loss, grads

    def begin(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """The state before the first word, for features (N, D)."""
        h, _ = affine_forward(self._features(features), self.params["W_proj"], self.params["b_proj"])
        return {"h": h, "c": np.zeros_like(h)}

    def step(self, words: np.ndarray, state: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Scores (N, V) of the word after each of `words` (N,), and the state after it."""
        p, h, c = self.params, state["h"], state["c"]
        x, _ = word_embedding_forward(words, p["W_embed"])
        if self.cell_type == "rnn":
            h, _ = rnn_step_forward(x, h, p["Wx"], p["Wh"], p["b"])
        else:
            h, c, _ = lstm_step_forward(x, h, c, p["Wx"], p["Wh"], p["b"])
        scores, _ = affine_forward(h, p["W_vocab"], p["b_vocab"])
        return scores, {"h": h, "c": c}

    def sample(self, features: np.ndarray, max_length: int = 30) -> np.ndarray:
        """Captions (N, max_length) for features (N, D): at each step the likeliest word, fed back as the next input.

        Sampling goes on after "<END>"; `decode_captions` cuts what follows.
        Raises TypeError or ValueError for features of the wrong kind or shape, ValueError without a "<START>".
        """
        state = self.begin(features)
        if self._start is None:
            raise ValueError('word_to_idx must have the word "<START>" to sample captions')
        captions = np.full((len(features), max_length), self._null, dtype=np.int32)
        words = np.full(len(features), self._start)
        for t in range(max_length):
            scores, state = self.step(words, state)
            words = captions[:, t] = scores.argmax(axis=1)
        return captions
