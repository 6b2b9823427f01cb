"""Files of weights for the tests: published ones, of the tests' own making, and files of one's own."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from data.sources import SOURCES, File
from tutorials.common import weights


def publish(monkeypatch: pytest.MonkeyPatch, path: Path, digits: int = 64) -> None:
    """Let data/sources.py list a file, by so many digits of its hash, as if it were published under its name."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:digits]
    listed = {file.path: file for file in SOURCES["weights"].files}
    row = listed.get(f"weights/{path.name}", File(f"weights/{path.name}", (), path.stat().st_size, None))
    nobody_listens = ("http://127.0.0.1:9/nothing",)
    listed[row.path] = replace(row, urls=nobody_listens, hash=f"sha256:{digest}")
    monkeypatch.setitem(SOURCES, "weights", replace(SOURCES["weights"], files=tuple(listed.values())))


def save_own(state: Mapping[str, Tensor], path: Path) -> Path:
    """Save a state dict as a user may give one with this torch: a .pth file, or before torch 2.10 safetensors."""
    path = path.with_suffix(".pth" if weights.SAFE else ".safetensors")
    if weights.SAFE:
        torch.save(state, path)
    else:
        safetensors.torch.save_file(dict(state), path)
    return path


class Evil(torch.nn.Module):
    """A TorchScript archive of it creates the file `ran` when it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = torch.zeros(1)

    @torch.jit.export
    def __getstate__(self) -> tuple[Tensor, bool]:
        return torch.zeros(1), True

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, bool]) -> None:
        self.training = state[1]
        self.kept = torch.from_file("ran", True, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x


def save_evil(path: Path) -> None:
    """A .pth file that under torch 2.3 runs its code although it is opened with weights_only=True."""
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated
        torch.jit.script(Evil()).save(str(path))
