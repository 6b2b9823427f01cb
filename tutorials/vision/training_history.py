"""What a training records beside its weights: logits after each epoch, CPU time, the drift of batch norm."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class History:
    """Logits (E, N, C) of the test images after each epoch, batch norm's drift, and CPU seconds."""

    def __init__(self) -> None:
        self.scores: list[Tensor] = []
        self.drift: list[float] = []
        self.cpu, self.since = 0.0, time.process_time()

    def add(self, scores: Tensor, drift: float) -> None:
        now = time.process_time()
        self.cpu, self.since = self.cpu + now - self.since, now
        self.scores.append(scores)
        self.drift.append(drift)

    def state_dict(self) -> dict[str, Any]:
        return {"scores": self.scores, "drift": self.drift, "cpu": self.cpu}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.scores, self.drift, self.cpu = list(state["scores"]), list(state["drift"]), state["cpu"]


class BatchNormStatistics:
    """The running statistics of a net's batch norms, which move in training mode even when no weight does."""

    def __init__(self, net: nn.Module) -> None:
        self.norms = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        self.before: list[tuple[Tensor, Tensor]] = []
        for norm in self.norms:
            self.before.append((norm.running_mean.cpu().clone(), norm.running_var.cpu().sqrt().clamp(min=1e-6)))

    def freeze(self) -> None:
        """Put the batch norms into evaluation mode: they normalize by their running statistics, and keep them."""
        for norm in self.norms:
            norm.eval()

    def drift(self) -> float:
        """How far the running means have moved since the start, in standard deviations, over all channels; 0 when the
        net has no batch norm."""
        pairs = zip(self.norms, self.before, strict=True)
        moved = [(norm.running_mean.cpu() - mean).abs() / deviation for norm, (mean, deviation) in pairs]
        return float(torch.cat(moved).mean()) if moved else 0.0
