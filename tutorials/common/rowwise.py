"""An optimizer for large tables of which a step uses few rows.

Source: J. Duchi et al., "Adaptive Subgradient Methods", JMLR, 2011, with one sum of squares for each row instead of one
for each number, as D. Mudigere et al., "Software-Hardware Co-design for Fast and Scalable Training of Deep Learning
Recommendation Models", ISCA, 2022.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer


class RowwiseAdagrad(Optimizer):
    """w[r] -= lr * g[r] / (sqrt(s[r]) + eps), s[r] += mean(g[r]²), for the rows r of a sparse gradient; others stay.

    A row that is seldom used keeps its large steps, and a step costs nothing for the rows that it does not use.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, eps: float = 1e-8) -> None:
        super().__init__(params, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                state = self.state[table]
                if not state:
                    state["squares"] = torch.zeros_like(table[:, 0])
                rows, g = add_up(table.grad)
                squares = state["squares"][rows] + g.square().mean(1)
                state["squares"][rows] = squares
                table.index_add_(0, rows, g / (squares.sqrt() + group["eps"])[:, None], alpha=-group["lr"])
        return loss


def add_up(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The rows (R,) that a sparse gradient has, and the sums (R, D) of what it says of each.

    A bag of rows is summed several times as fast as by `coalesce`.
    """
    used, order = gradient._indices()[0].sort(stable=True)
    rows, counts = used.unique_consecutive(return_counts=True)
    return rows, F.embedding_bag(order, gradient._values(), counts.cumsum(0) - counts, mode="sum")
