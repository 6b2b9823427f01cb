"""torch's counterparts of initialisers and update rules; `adapters.py` lists the conventions."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn, optim

from comparisons.adapters import like


class TorchsNormals:
    """A generator for NumPy's initialisers that draws torch's normal numbers, in torch's layout, from torch's seed."""

    def __init__(self, seed: int):
        self.seed, self.generator = seed, None

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        self.generator = self.generator or torch.Generator().manual_seed(self.seed)
        layout = shape[::-1] if len(shape) == 2 else shape
        z = torch.randn(layout, dtype=torch.float64, generator=self.generator)
        return (z.T if len(shape) == 2 else z).numpy()


def initialiser(initialise: Callable) -> Callable:
    """One of nn.init, on the numbers that `TorchsNormals` of the same seed draws, as (D, M) or (F, C, HH, WW)."""

    def initialised(shape: tuple[int, ...], *rest: object) -> Tensor:
        *options, rng, dtype = rest
        torch.manual_seed(rng.seed)
        w = torch.empty(shape[::-1] if len(shape) == 2 else shape, dtype=torch.float64)
        initialise(w, *options)
        return like(dtype, w.T if len(shape) == 2 else w)

    return initialised


def decoder_init(dim: int, dim_feedforward: int, rng: TorchsNormals, std: float, dtype: type) -> tuple[Tensor, ...]:
    """A decoder's parameters in the course's order: k, q, v, output of both attentions, feed-forward, norms."""
    torch.manual_seed(rng.seed)
    linears = [nn.Linear(dim, dim) for _ in range(8)] + [
        nn.Linear(dim, dim_feedforward),
        nn.Linear(dim_feedforward, dim),
    ]
    norms = [nn.LayerNorm(dim) for _ in range(3)]
    values = []
    torch.manual_seed(rng.seed)
    for linear in linears:
        weight = nn.init.normal_(torch.empty(linear.weight.shape, dtype=torch.float64), 0, std)
        values += [weight.T, nn.init.zeros_(linear.bias)]
    values += [value for norm in norms for value in (norm.weight, norm.bias)]
    return tuple(like(dtype, value) for value in values)


def trajectory(kind: type, options: Callable[[dict], dict], states: dict[str, str], rate: float) -> Callable:
    """A torch optimizer over the same gradients: weights on the way and, under the assignment's names, its state.

    `options` translates the assignment's config; `rate` is the assignment's default.
    """

    def run(w: Tensor, gradients: Tensor, rates: list, decay: float, config: dict) -> dict[str, Tensor]:
        weight, results, last = nn.Parameter(w.clone()), {}, None
        optimizer = kind([weight], lr=rate, **{"weight_decay": decay} | options(config))
        group = optimizer.param_groups[0]
        for step, (gradient, changed) in enumerate(zip(gradients, rates, strict=True), 1):
            group["lr"] = rate if changed is None else changed
            if "velocity" in states and last:  # the assignment's velocity holds the rate of its time
                optimizer.state[weight]["momentum_buffer"] *= last / group["lr"]
            last, weight.grad = group["lr"], gradient
            optimizer.step()
            if step in (1, 10, len(gradients)):
                results[f"w after {step}"] = weight.detach().clone()
        for ours, theirs in states.items():
            kept = optimizer.state[weight][theirs]
            results[ours] = -last * kept if ours == "velocity" else kept
        return results

    return run


def momentum(config: dict) -> dict:
    return {"momentum": config.get("momentum", 0.9)}


def nesterov(config: dict) -> dict:
    return {"momentum": config.get("momentum", 0.9), "nesterov": True}


def adagrad(config: dict) -> dict:
    return {"eps": config.get("epsilon", 1e-8)}


def rmsprop(config: dict) -> dict:
    return {"alpha": config.get("decay_rate", 0.99), "eps": config.get("epsilon", 1e-8)}


def adam(config: dict) -> dict:
    return {"betas": (config.get("beta1", 0.9), config.get("beta2", 0.999)), "eps": config.get("epsilon", 1e-8)}


def adamw(config: dict) -> dict:
    return adam(config) | {"weight_decay": config.get("weight_decay", 1e-2)}


def rate(config: dict, default: float) -> float:
    return config.get("learning_rate", default)


# Each rule as an optimizer of torch, from the parameters and the assignment's config.
OPTIMIZERS = {
    "sgd": lambda weights, c: optim.SGD(weights, rate(c, 1e-2)),
    "sgd_momentum": lambda weights, c: optim.SGD(weights, rate(c, 1e-2), **momentum(c)),
    "rmsprop": lambda weights, c: optim.RMSprop(weights, rate(c, 1e-2), **rmsprop(c)),
    "adam": lambda weights, c: optim.Adam(weights, rate(c, 1e-3), **adam(c)),
}
