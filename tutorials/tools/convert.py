"""Turn a .pth file of weights into safetensors, which cannot run code: `make convert WEIGHTS=file.pth`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch

from data import StudyError
from data.fetch import megabytes
from tutorials.common import weights
from tutorials.common.checkpoint import write_atomic
from tutorials.common.interrupts import one_line_errors


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="convert", description=__doc__.split(",")[0] + ".")
    parser.add_argument("file", type=Path, help="the .pth file: a state dict, as torch.save(net.state_dict(), file)")
    parser.add_argument("out", type=Path, nargs="?", help="default: the same name, with .safetensors")
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    options = parser.parse_args(argv)
    with one_line_errors():
        out = convert(options.file, options.out, options.force)
        print(f"convert: {out} is written ({megabytes(out.stat().st_size)}). Give it with --weights-file.")
    return 0


def convert(path: Path, out: Path | None = None, force: bool = False) -> Path:
    """Write the tensors of a .pth file as safetensors and return where; raises StudyError when it cannot."""
    out = out or path.with_suffix(".safetensors")
    if path.suffix.lower() == ".safetensors":
        raise StudyError(f"convert: {path} is a safetensors file already. Give it with --weights-file as it is.")
    if out.suffix.lower() != ".safetensors":
        raise StudyError(f"convert: {out} must end in .safetensors, by which it is recognized. Give another name.")
    if out.exists() and not force:
        raise StudyError(f"convert: {out} is there already. Give another name, or replace it with --force.")
    state = weights.read_state(path)
    try:
        tensors = {  # copies: safetensors takes no two names that share one storage
            name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()
        }
        content = safetensors.torch.save(tensors, {"format": "pt"})
    except Exception as error:  # sparse and quantized tensors, and dtypes that the format lacks
        reason = weights.reason(error)
        raise StudyError(f"convert: safetensors cannot hold a tensor of {path} ({reason}). Save dense ones.") from error
    try:
        write_atomic(out, content)
    except OSError as error:
        raise StudyError(f"convert: {out} cannot be written ({error.strerror}). Give another place.") from error
    return out


if __name__ == "__main__":
    sys.exit(main())
