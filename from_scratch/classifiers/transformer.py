"""The course's captioning transformer, in NumPy; its vision transformer, from a module of its own, stands here too.

N batch, T words that are predicted, D features, E word vector, V vocabulary.
"""

import numpy as np

from from_scratch.checks import floats, labels, shape
from from_scratch.classifiers.vision_transformer import VisionTransformer
from from_scratch.embedding import word_embedding_backward, word_embedding_forward
from from_scratch.temporal import temporal_affine_backward, temporal_affine_forward, temporal_softmax_loss
from from_scratch.transformer_layers import (
    decoder_layer_backward,
    decoder_layer_forward,
    decoder_layer_init,
    decoder_layer_step,
    part,
    positional_encoding,
    prefixed,
)

__all__ = ["CaptioningTransformer", "VisionTransformer"]


class CaptioningTransformer:
    """Captions from image features by a stack of decoder layers whose memory is the projected image.

    x = W_embed[words] + positions; x = layer_i(x, features·W_proj + b_proj); scores = x·W_vocab + b_vocab.
    Without dropout, otherwise as the course's torch version: Gaussian weights of standard deviation 0.02, except
    the output layer's; no gradient for the row of "<NULL>".
    Raises ValueError for a vocabulary without "<NULL>" and for an odd wordvec_dim or one num_heads does not divide.
    Source: Vaswani et al. (2017); CS231n, assignment 3 (2021).
    """

    def __init__(
        self,
        word_to_idx: dict[str, int],
        input_dim: int,
        wordvec_dim: int,
        num_heads: int = 4,
        num_layers: int = 2,
        max_length: int = 50,
        dim_feedforward: int = 2048,
        dtype: type = np.float32,
        rng: object = np.random,
    ) -> None:
        if "<NULL>" not in word_to_idx:
            raise ValueError('word_to_idx must have the word "<NULL>"')
        if num_heads < 1 or wordvec_dim % num_heads:
            raise ValueError(f"num_heads must divide wordvec_dim {wordvec_dim}, but is {num_heads}")
        self.word_to_idx = word_to_idx
        self.idx_to_word = {i: w for w, i in word_to_idx.items()}
        self._null = word_to_idx["<NULL>"]
        self._start = word_to_idx.get("<START>")
        self.num_heads, self.num_layers, self.dtype = num_heads, num_layers, dtype
        self.positions = positional_encoding(max_length, wordvec_dim, dtype)

        V, D, E = len(word_to_idx), input_dim, wordvec_dim
        params = {
            "W_proj": rng.standard_normal((D, E)) * 0.02,
            "b_proj": np.zeros(E),
            "W_embed": rng.standard_normal((V, E)) * 0.02,
        }
        for i in range(num_layers):
            params |= prefixed(f"layer{i}.", decoder_layer_init(E, dim_feedforward, rng))
        params["W_vocab"] = rng.uniform(-(E**-0.5), E**-0.5, (E, V))
        params["b_vocab"] = rng.uniform(-(E**-0.5), E**-0.5, V)
        self.params = {name: value.astype(dtype) for name, value in params.items()}

    def _memory(self, features: np.ndarray) -> tuple[np.ndarray, tuple]:
        """The image as one token: (N, D) -> (N, 1, E)."""
        floats("features", features, 2)
        W = self.params["W_proj"]
        shape("features", features, (len(features), len(W)), f"to fit W_proj of {W.shape}")
        features = features.astype(self.dtype, copy=False)
        return temporal_affine_forward(features[:, None], W, self.params["b_proj"])

    def forward(self, features: np.ndarray, captions: np.ndarray) -> tuple[np.ndarray, tuple]:
        """Scores (N, T, V) of the word after each word of `captions` (N, T), for features (N, D); and the cache.

        Raises TypeError or ValueError for arrays of the wrong kind or shape, words outside the vocabulary, and
        captions longer than max_length.
        """
        memory, projection = self._memory(features)
        captions = np.asarray(captions)
        if captions.ndim != 2 or captions.shape[1] > len(self.positions):
            raise ValueError(f"captions must be (N, T), T at most {len(self.positions)}, not {captions.shape}")
        T = captions.shape[1]
        labels("captions", captions, (len(features), T), len(self.params["W_embed"]))
        x, embedding = word_embedding_forward(captions, self.params["W_embed"])
        x = x + self.positions[:T]
        causal, layers = np.tri(T), []
        for i in range(self.num_layers):
            x, cache = decoder_layer_forward(x, memory, part(self.params, f"layer{i}."), self.num_heads, causal)
            layers.append(cache)
        scores, vocabulary = temporal_affine_forward(x, self.params["W_vocab"], self.params["b_vocab"])
        return scores, (projection, embedding, layers, vocabulary)

    def backward(self, dscores: np.ndarray, cache: tuple) -> dict[str, np.ndarray]:
        """Gradients of `forward` for the parameters."""
        projection, embedding, layers, vocabulary = cache
        grads, dmemory = {}, 0
        dx, grads["W_vocab"], grads["b_vocab"] = temporal_affine_backward(dscores, vocabulary)
        for i in reversed(range(self.num_layers)):
            dx, dmore, layer_grads = decoder_layer_backward(dx, layers[i])
            dmemory = dmemory + dmore
            grads |= prefixed(f"layer{i}.", layer_grads)
        grads["W_embed"] = word_embedding_backward(dx, embedding)
        grads["W_embed"][self._null] = 0
        if not self.num_layers:
            dmemory = np.zeros((len(dscores), 1, dx.shape[-1]), dx.dtype)
        _, grads["W_proj"], grads["b_proj"] = temporal_affine_backward(dmemory, projection)
        return grads

    def loss(self, features: np.ndarray, captions: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
        """The loss of predicting each word from those before it, and its gradients, one for each parameter.

        features (N, D), captions (N, T+1); the course's transformer takes the mean over all N·T places, <NULL>
        counted as 0, where its RNN sums over time. Raises as `forward`.
        """
        captions = np.asarray(captions)
        if captions.ndim != 2 or captions.shape[1] < 2:
            raise ValueError(f"captions must be (N, T+1) with T at least 1, not {captions.shape}")
        labels("captions", captions, captions.shape, len(self.params["W_embed"]))
        targets = captions[:, 1:]
        scores, cache = self.forward(features, captions[:, :-1])
        loss, dscores = temporal_softmax_loss(scores, targets, targets != self._null)
        T = targets.shape[1]
        return loss / T, self.backward(dscores / T, cache)

    def begin(self, features: np.ndarray) -> dict:
        """The state before the first word, for features (N, D): the memory, and of each layer the keys and values."""
        return {"t": 0, "memory": self._memory(features)[0], "pasts": [{} for _ in range(self.num_layers)]}

    def step(self, words: np.ndarray, state: dict) -> tuple[np.ndarray, dict]:
        """Scores (N, V) of the word after each of `words` (N,), and the state after it: one position is computed."""
        x = (self.params["W_embed"][words] + self.positions[state["t"]])[:, None]
        for i, past in enumerate(state["pasts"]):
            x = decoder_layer_step(x, state["memory"], part(self.params, f"layer{i}."), self.num_heads, past)
        scores, _ = temporal_affine_forward(x, self.params["W_vocab"], self.params["b_vocab"])
        return scores[:, 0], state | {"t": state["t"] + 1}

    def sample(self, features: np.ndarray, max_length: int = 30) -> np.ndarray:
        """Captions (N, max_length) for features (N, D): at each step the likeliest word, fed back as the next input.

        Raises TypeError or ValueError for features that do not fit, ValueError without a "<START>" or for too long a
        max_length.
        """
        state = self.begin(features)
        if self._start is None:
            raise ValueError('word_to_idx must have the word "<START>" to sample captions')
        if max_length > len(self.positions):
            raise ValueError(f"max_length must be at most the model's {len(self.positions)}, not {max_length}")
        captions = np.full((len(features), max_length), self._null, dtype=np.int32)
        words = np.full(len(features), self._start)
        for t in range(max_length):
            scores, state = self.step(words, state)
            words = captions[:, t] = scores.argmax(axis=1)
        return captions
