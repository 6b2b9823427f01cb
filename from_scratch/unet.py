"""A small U-Net for diffusion: the picture goes in with noise, the noise or the picture comes out."""

from itertools import pairwise

import numpy as np

from from_scratch import checks
from from_scratch.attention import positional_encoding
from from_scratch.initialization import gaussian
from from_scratch.transformer_layers import Params, prefixed
from from_scratch.unet_layers import unet_backward, unet_forward


class Unet:
    """A U-Net conditioned on the time step and, optionally, on the class.

    A level for each of `dim_mults`, each of half the size of the one before, has `dim` times so many channels. Class
    `num_classes` means that none is given. Weights are Gaussian with std 1 / sqrt(fan in), drawn from `rng`;
    every block ends in a convolution of zeros, and so does the net, so that it begins as an output of 0. `params` has
    the names that `unet_forward` reads. Raises ValueError for sizes that do not fit. Source: Ho et al., DDPM (2020),
    appendix B; CS231n assignment 3 (2025), unet.
    """

    def __init__(
        self,
        dim: int,
        num_classes: int = 0,
        dim_mults: tuple[int, ...] = (1, 2),
        channels: int = 1,
        groups: int = 8,
        timesteps: int = 1000,
        dtype: type = np.float32,
        rng: object = np.random,
    ) -> None:
        if checks.size("dim", dim) % checks.size("groups", groups) or dim % 2:
            raise ValueError(f"dim must be even and a multiple of groups {groups}, but is {dim}")
        self.num_classes, self.channels, self.groups = num_classes, channels, groups
        self.rng, self.dtype = rng, dtype
        self.positions = positional_encoding(checks.size("timesteps", timesteps), dim, dtype)
        sizes, E = [dim * mult for mult in dim_mults], 4 * dim
        params = self._layer("embed.{}1", (dim, E)) | self._layer("embed.{}2", (E, E))
        params["embed.classes.W"] = 0.02 * rng.standard_normal((num_classes + 1, E))
        params |= self._layer("first.{}", (dim, channels, 3, 3))
        before = dim
        for i, (size, coarser) in enumerate(pairwise(sizes)):
            params |= self._block(f"down{i}.", before, size, E) | self._layer(f"half{i}.{{}}", (coarser, size, 3, 3))
            before = coarser
        params |= self._block("middle.", before, before, E)
        for i, size in reversed(list(enumerate(sizes[:-1]))):
            params |= self._block(f"up{i}.", before + size, size, E)
            before = size
        params |= self._norm("last.", "", before) | self._layer("last.{}", (channels, before, 3, 3), 0)
        self.params = {name: value.astype(dtype) for name, value in params.items()}

    def _layer(self, name: str, shape: tuple[int, ...], gain: float = 1) -> Params:
        """Weights and biases of an affine layer (D, M) or of a convolution (F, C, HH, WW)."""
        inputs, outputs = shape if len(shape) == 2 else (np.prod(shape[1:]), shape[0])
        return {name.format("W"): gaussian(shape, gain * inputs**-0.5, self.rng), name.format("b"): np.zeros(outputs)}

    def _norm(self, prefix: str, number: object, size: int) -> Params:
        shape = (1, size, 1, 1)
        return {f"{prefix}gamma{number}": np.ones(shape), f"{prefix}beta{number}": np.zeros(shape)}

    def _block(self, prefix: str, before: int, size: int, E: int) -> Params:
        """The parameters of a residual block, which begins as its shortcut."""
        params = (
            self._norm("", 1, before) | self._layer("{}1", (size, before, 3, 3)) | self._layer("{}e", (E, 2 * size))
        )
        params |= self._norm("", 2, size) | self._layer("{}2", (size, size, 3, 3), 0)
        params |= self._layer("{}s", (size, before, 1, 1)) if before != size else {}
        return prefixed(prefix, params)

    def forward(self, x: np.ndarray, t: np.ndarray, classes: np.ndarray | None = None) -> tuple[np.ndarray, tuple]:
        """The output (N, C, H, W) for noisy pictures x (N, C, H, W), steps t (N,) and classes (N,); and the cache."""
        N = len(x)
        checks.labels("t", t, (N,), len(self.positions))
        classes = np.full(N, self.num_classes) if classes is None else np.asarray(classes)
        checks.labels("classes", classes, (N,), self.num_classes + 1)
        return unet_forward(x, self.positions[t].astype(x.dtype, copy=False), classes, self.params, self.groups)

    def backward(self, dout: np.ndarray, cache: tuple) -> Params:
        """Gradients of `forward` for the parameters."""
        return unet_backward(dout, cache, with_dx=False)[2]
