"""Muon: momentum whose updates are made nearly orthogonal.

Source: K. Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024. torch.optim.Muon, since torch 2.9,
makes the same steps for matrices (tested); this one also takes convolutions and biases, and works with older torch.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Muon(Optimizer):
    """Nesterov momentum with u = g + momentum * m; if ndim > 1, u is replaced by `orthogonalize(u)`.

    Weight decay is decoupled from the gradient: w <- (1 - lr * weight_decay) * w - lr * u.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                m = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                update = weight.grad.add(m, alpha=group["momentum"])
                if weight.ndim > 1:
                    update = orthogonalize(update.flatten(1)).view_as(weight)
                weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=group["lr"])


class ChainedOptimizer(Optimizer):
    """Several optimizers, each with parameters of its own, as one: one `step`, one state, one schedule for all."""

    def __init__(self, *optimizers: Optimizer) -> None:
        self.optimizers = optimizers
        super().__init__([{"params": group["params"]} for group in self.chain()], {})
        self.param_groups = self.chain()

    def chain(self) -> list[dict[str, Any]]:
        """The parameter groups of all, the very objects: a learning rate that a schedule sets here is set there."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def step(self, closure: None = None) -> None:
        for optimizer in self.optimizers:
            optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for optimizer, state in zip(self.optimizers, state_dict["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.param_groups = self.chain()


def layer_matrices(net: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The matrices of a transformer's layers, which Muon is for, and all other parameters."""
    inside, outside = [], []
    for name, weight in net.named_parameters():
        (inside if "layers." in name and weight.ndim == 2 else outside).append(weight)
    return inside, outside


def orthogonalize(matrix: Tensor, steps: int = 3) -> Tensor:
    """A matrix (R, C) of the same singular vectors whose singular values are drawn towards 1.

    Newton and Schulz's iteration with the quintic a x + b x^3 + c x^5, which rises steeply from 0 and then stays
    between 0.7 and 1.2: rough, but a few products of matrices are enough.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix  # the products then have the smaller size
    x = wide / (wide.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if wide is not matrix else x
