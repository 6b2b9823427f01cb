"""The course's vision transformer, in NumPy.

N pictures, P patches, E embedding, C classes.
"""

import numpy as np

from from_scratch import checks
from from_scratch.affine import affine_backward, affine_forward
from from_scratch.attention import positional_encoding
from from_scratch.classifiers.net import Net
from from_scratch.dropout import dropout_backward, dropout_forward
from from_scratch.initialization import gaussian, xavier
from from_scratch.losses import softmax_loss
from from_scratch.patches import patch_embedding_backward, patch_embedding_forward
from from_scratch.transformer_layers import (
    encoder_layer_backward,
    encoder_layer_forward,
    encoder_layer_init,
    part,
    prefixed,
)


class VisionTransformer(Net):
    """patches - affine, + positions - [dropout] - encoder layer x num_layers - mean over patches - affine - softmax.

    `params`: W_patch (in_channels patch_size^2, E), b_patch, positions (P, E) where they are learned, layer{i}.* as
    `encoder_layer_init` names them, W_head (E, C), b_head, all of `dtype`; weights are Gaussian, of standard
    deviation E^-0.5 in the layers, Xavier's before and after them, and 0.02 for learned positions. `dropout` is the
    probability of dropping, as torch and the course's own transformer mean it. Beyond the course: `learned_positions`
    instead of sines and cosines; `reg`; `rng`, which draws weights and dropout. Raises ValueError or TypeError for
    sizes that do not fit. It is made for the Solver.
    Source: Dosovitskiy et al., "An Image is Worth 16x16 Words" (2020); CS231n, assignment 3 (2025).
    """

    def __init__(
        self,
        img_size: int = 32,
        patch_size: int = 8,
        in_channels: int = 3,
        embed_dim: int = 128,
        num_layers: int = 6,
        num_heads: int = 4,
        dim_feedforward: int = 256,
        num_classes: int = 10,
        dropout: float = 0.1,
        *,
        learned_positions: bool = False,
        reg: float = 0.0,
        dtype: type = np.float32,
        rng: object = np.random,
    ) -> None:
        sizes = {"img_size": img_size, "patch_size": patch_size, "in_channels": in_channels, "embed_dim": embed_dim,
                 "num_heads": num_heads, "dim_feedforward": dim_feedforward, "num_classes": num_classes}  # fmt: skip
        for name, number in sizes.items():
            checks.size(name, number)
        checks.size("num_layers", num_layers, least=0)
        for name, whole in (("patch_size", "img_size"), ("num_heads", "embed_dim")):
            if sizes[whole] % sizes[name]:
                raise ValueError(f"{name} must divide {whole} {sizes[whole]}, but is {sizes[name]}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is the probability of dropping a unit, in [0, 1), not {dropout}")
        self.input_shape, self.patch_size = (in_channels, img_size, img_size), patch_size
        self.num_layers, self.num_heads, self.reg, self.dtype = num_layers, num_heads, reg, dtype
        self.use_dropout = dropout > 0
        self.dropout_param = {"mode": "train", "p": 1 - dropout, "rng": rng} if self.use_dropout else {}
        self.positions = positional_encoding((img_size // patch_size) ** 2, embed_dim, dtype)

        params = {"W_patch": xavier((in_channels * patch_size**2, embed_dim), rng)}
        params["b_patch"] = np.zeros(embed_dim)
        if learned_positions:
            params["positions"] = gaussian(self.positions.shape, 0.02, rng)
        for i in range(num_layers):
            params |= prefixed(f"layer{i}.", encoder_layer_init(embed_dim, dim_feedforward, rng, embed_dim**-0.5))
        params |= {"W_head": xavier((embed_dim, num_classes), rng), "b_head": np.zeros(num_classes)}
        self.params = {name: value.astype(dtype) for name, value in params.items()}

    def loss(self, X: np.ndarray, y: np.ndarray | None = None) -> np.ndarray | tuple[float, dict]:
        """Scores (N, C) of pictures X without dropout, or with labels y (N,) the loss and its gradients.

        loss = softmax loss + 0.5 reg (sum over W of |W|^2). Raises ValueError or TypeError if X or y does not fit.
        """
        scores, cache = self.forward(X, "test" if y is None else "train")
        if y is None:
            return scores
        loss, dscores = softmax_loss(scores, y)
        grads = self.backward(dscores, cache)
        return self.add_weight_decay(loss, grads), grads

    def forward(self, X: np.ndarray, mode: str) -> tuple[np.ndarray, tuple]:
        """Scores (N, C) of pictures X, and the cache; `mode` 'train' or 'test' is dropout's."""
        checks.shape("X", X, (len(X), *self.input_shape), "of the net's pictures")
        if self.use_dropout:
            self.dropout_param["mode"] = mode
        p, dropped = self.params, None
        x, patches = patch_embedding_forward(
            X.astype(self.dtype, copy=False), p["W_patch"], p["b_patch"], self.patch_size
        )
        x = x + p.get("positions", self.positions).astype(self.dtype, copy=False)  # (N, P, E)
        if self.use_dropout:
            x, dropped = dropout_forward(x, self.dropout_param)
        layers = []
        for i in range(self.num_layers):
            layer = part(p, f"layer{i}.")
            x, cache = encoder_layer_forward(x, layer, self.num_heads, dropout_param=self.dropout_param)
            layers.append(cache)
        scores, head = affine_forward(x.mean(axis=1), p["W_head"], p["b_head"])
        return scores, (patches, dropped, layers, x.shape, head)

    def attention(self, X: np.ndarray) -> np.ndarray:
        """How each patch of pictures X weighs all patches: (num_layers, N, num_heads, P, P)."""
        _, (_, _, layers, _, _) = self.forward(X, "test")
        return np.stack([own[3][-1] for own, *_ in layers])

    def backward(self, dscores: np.ndarray, cache: tuple) -> dict[str, np.ndarray]:
        """Gradients of `forward` for the parameters."""
        patches, dropped, layers, shape, head = cache
        grads = {}
        dmean, grads["W_head"], grads["b_head"] = affine_backward(dscores, head)
        dx = np.broadcast_to(dmean[:, None] / shape[1], shape)
        for i in reversed(range(self.num_layers)):
            dx, layer_grads = encoder_layer_backward(dx, layers[i])
            grads |= prefixed(f"layer{i}.", layer_grads)
        if dropped:
            dx = dropout_backward(dx, dropped)
        if "positions" in self.params:
            grads["positions"] = dx.sum(axis=0)
        _, grads["W_patch"], grads["b_patch"] = patch_embedding_backward(dx, patches)
        return grads
