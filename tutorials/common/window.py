"""The training values between two points of the curve."""

from collections.abc import Callable, Mapping

import torch


class Window:
    """Training values of the steps since the curve's last point, kept as tensors so that no step waits for them."""

    def __init__(self) -> None:
        self.values: dict[str, list[torch.Tensor]] = {}

    def add(self, values: Mapping[str, float | torch.Tensor]) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append(torch.as_tensor(value).detach())

    def clear(self) -> None:
        self.values = {}

    def stacked(self) -> torch.Tensor:
        """(metrics, steps) float64."""
        return torch.stack([torch.stack([value.cpu() for value in values]).double() for values in self.values.values()])

    def means(self, over_processes: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
        """Each value's mean over the window and over the processes."""
        return dict(zip(self.values, over_processes(self.stacked().mean(1)).tolist(), strict=True))

    def first_not_finite(self, over_processes: Callable[[torch.Tensor], torch.Tensor]) -> int | None:
        """How many steps ago a value was NaN or infinite in any process, or None."""
        if not self.values:
            return None
        bad = ~over_processes(self.stacked()).isfinite().all(0)
        return len(bad) - 1 - int(bad.int().argmax()) if bad.any() else None

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {name: torch.stack([value.cpu() for value in values]) for name, values in self.values.items()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        self.values = {name: list(values) for name, values in state.items()}
