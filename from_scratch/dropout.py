"""Inverted dropout: the kept units are scaled up in training, so that testing needs nothing."""

import numpy as np

from from_scratch import checks


def dropout_forward(x: np.ndarray, dropout_param: dict) -> tuple[np.ndarray, tuple]:
    """Keep each unit with probability p and divide by p; in test mode keep all.

    train: out = x mask, mask = [u < p] / p, u uniform on [0, 1); test: out = x

    x and out of any shape; cache (dropout_param, mask). `dropout_param` has `p` (probability of keeping), `mode`
    ('train' or 'test'), and optionally `rng` (a generator to draw from, instead of NumPy's global one) and `seed`
    (to start anew from before each draw, so that all masks are alike, as the course's checks need). Raises ValueError
    or TypeError for what does not fit.
    Source: Srivastava et al., 2014; CS231n assignment 2, Dropout.
    """
    checks.floats("x", x)
    missing = {"p", "mode"} - set(dropout_param)
    if missing:
        raise ValueError(f"dropout_param lacks {', '.join(sorted(missing))}")
    p, mode = float(dropout_param["p"]), dropout_param["mode"]
    checks.choice("dropout_param['mode']", mode, ("train", "test"))
    if not 0 < p <= 1:
        raise ValueError(f"dropout_param['p'] is the probability of keeping a unit, in (0, 1], not {p}")
    if mode == "test":
        return x, (dropout_param, None)
    seed, rng = dropout_param.get("seed"), dropout_param.get("rng", np.random)
    if seed is not None and rng is np.random:
        np.random.seed(seed)
    elif seed is not None:
        rng = np.random.default_rng(seed)
    mask = (rng.random(x.shape) < p).astype(x.dtype) / p
    return x * mask, (dropout_param, mask)


def dropout_backward(dout: np.ndarray, cache: tuple) -> np.ndarray:
    """Pass the gradient through the units that were kept.

    train: dx = dout mask; test: dx = dout

    Raises ValueError unless dout has the mask's shape; in test mode the cache knows of none. Source: CS231n assignment
    2, Dropout.
    """
    _, mask = cache
    if mask is None:
        return dout
    checks.shape("dout", dout, mask.shape, "of x")
    return dout * mask
