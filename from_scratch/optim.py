"""Update rules: rule(w, dw, config) -> next w, config.

`config` holds the options and the state; missing ones get their defaults, None means {}. It is updated, w is not:
the caller may still compare with it. Every rule raises ValueError unless dw has w's shape, TypeError for integers. A
rule leaves other rules' options alone, so that one config can serve several, and warns of options that no rule has.
"""

import warnings

import numpy as np

from from_scratch import checks

ANY_RULE = ("learning_rate", "momentum", "decay_rate", "beta1", "beta2", "epsilon", "weight_decay")


def sgd(w: np.ndarray, dw: np.ndarray, config: dict | None = None) -> tuple[np.ndarray, dict]:
    """Steepest descent: w -= lr dw.

    `learning_rate` 1e-2. Source: CS231n assignment 2.
    """
    config, lr = _read(w, dw, config, "", learning_rate=1e-2)
    return w - lr * dw, config


def sgd_momentum(w: np.ndarray, dw: np.ndarray, config: dict | None = None) -> tuple[np.ndarray, dict]:
    """Descent with momentum: v = momentum v - lr dw, w += v.

    `learning_rate` 1e-2, `momentum` 0.9; state `velocity`. Source: CS231n assignment 2.
    """
    config, lr, momentum = _read(w, dw, config, "velocity", learning_rate=1e-2, momentum=0.9)
    config["velocity"] = momentum * config["velocity"] - lr * dw
    return w + config["velocity"], config


def nesterov(w: np.ndarray, dw: np.ndarray, config: dict | None = None) -> tuple[np.ndarray, dict]:
    """Momentum with a look ahead: v = momentum v - lr dw, w += momentum v - lr dw.

    w stands at the place looked ahead to, so dw is its plain gradient. `learning_rate` 1e-2, `momentum` 0.9; state
    `velocity`. Source: Sutskever et al., 2013; CS231n notes, Neural Networks 3.
    """
    config, lr, momentum = _read(w, dw, config, "velocity", learning_rate=1e-2, momentum=0.9)
    config["velocity"] = momentum * config["velocity"] - lr * dw
    return w + momentum * config["velocity"] - lr * dw, config


def adagrad(w: np.ndarray, dw: np.ndarray, config: dict | None = None) -> tuple[np.ndarray, dict]:
    """Steps that shrink with all squares so far: cache += dw^2, w -= lr dw / (sqrt(cache) + epsilon).

    `learning_rate` 1e-2, `epsilon` 1e-8; state `cache`. Source: Duchi et al., 2011; CS231n notes, Neural Networks 3.
    """
    config, lr, eps = _read(w, dw, config, "cache", learning_rate=1e-2, epsilon=1e-8)
    config["cache"] = config["cache"] + dw * dw
    return w - lr * dw / (np.sqrt(config["cache"]) + eps), config


def rmsprop(w: np.ndarray, dw: np.ndarray, config: dict | None = None) -> tuple[np.ndarray, dict]:
    """Steps scaled by recent squares: cache = decay cache + (1 - decay) dw^2, w -= lr dw / (sqrt(cache) + epsilon).

    `learning_rate` 1e-2, `decay_rate` 0.99, `epsilon` 1e-8; state `cache`. Source: Tieleman and Hinton, 2012.
    """
    config, lr, decay, eps = _read(w, dw, config, "cache", learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8)
    config["cache"] = decay * config["cache"] + (1 - decay) * dw * dw
    return w - lr * dw / (np.sqrt(config["cache"]) + eps), config


def adam(w: np.ndarray, dw: np.ndarray, config: dict | None = None) -> tuple[np.ndarray, dict]:
    """Momentum and scaled steps, both corrected for their start at zero (bias correction).

    m = beta1 m + (1 - beta1) dw, v = beta2 v + (1 - beta2) dw^2, t += 1,
    w -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)

    `learning_rate` 1e-3, `beta1` 0.9, `beta2` 0.999, `epsilon` 1e-8; state `m`, `v`, `t`. Source: Kingma and Ba, 2014.
    """
    config, lr, step = _adam(w, dw, config)
    return w - lr * step, config


def adamw(w: np.ndarray, dw: np.ndarray, config: dict | None = None) -> tuple[np.ndarray, dict]:
    """Adam whose weight decay stays out of the averages: w -= lr (weight_decay w + Adam's direction).

    `weight_decay` 1e-2, the rest as `adam`. Source: Loshchilov and Hutter, "Decoupled Weight Decay", 2017.
    """
    config = {} if config is None else config
    decay = float(config.setdefault("weight_decay", 1e-2))
    config, lr, step = _adam(w, dw, config, "weight_decay")
    return w - lr * (decay * w + step), config


def _adam(w: np.ndarray, dw: np.ndarray, config: dict | None, more: str = "") -> tuple[dict, float, np.ndarray]:
    """Adam's averages, and the direction that they give; the config may hold `more`."""
    options = dict(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8)
    config, lr, beta1, beta2, eps = _read(w, dw, config, "m v", f"t {more}", **options)
    t = config["t"] = config.get("t", 0) + 1
    config["m"] = beta1 * config["m"] + (1 - beta1) * dw
    config["v"] = beta2 * config["v"] + (1 - beta2) * dw * dw
    return config, lr, config["m"] / (1 - beta1**t) / (np.sqrt(config["v"] / (1 - beta2**t)) + eps)


def _read(w: np.ndarray, dw: np.ndarray, config: dict | None, state: str, more: str = "", **options: float) -> tuple:
    """Check w and dw, fill in options and zeros of state; return the config and the options as plain floats.

    Plain, because NumPy 2 lets a float64 scalar turn float32 weights into float64.
    """
    checks.floats("w", w)
    checks.shape("dw", dw, w.shape, "of w")
    config = {} if config is None else config
    known = {*options, *state.split(), *more.split(), *ANY_RULE}
    if unknown := [key for key in config if key not in known]:  # ignored, as in the course, but perhaps a slip
        warnings.warn(f"config has the unknown option {unknown[0]!r}; known are {', '.join(options)}", stacklevel=4)
    for key, default in options.items():
        config.setdefault(key, default)
    for key in state.split():
        checks.shape(f"config['{key}']", config.setdefault(key, np.zeros_like(w)), w.shape, "of w")
    return config, *(float(config[key]) for key in options)
