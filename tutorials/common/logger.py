"""What a run tells: `metrics.jsonl` is the record; TensorBoard, the figures and the console are views of it."""

import json
import os
import shutil
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from tutorials.common import plots
from tutorials.common.console import markdown_table

# The charts of the dashboard's custom scalars: which tags share one. The dashboard merges those of all runs.
CHARTS = {
    "training beside validation": {
        "loss": ["Multiline", ["^(word_)?loss/(train|val)$"]],
        **{name: ["Multiline", [f"^{name}/(train|val)$"]] for name in ("accuracy", "bleu", "perplexity")},
    }
}
# The columns of its table of options and results, which it takes from any one of the runs: all name the same.
COLUMNS = {"data": "", "epochs": 0, "lr": 0.0, "recipe": "", "seed": 0}
VALUES = {"recipe": ["original", "study"]}  # but not of the data, which may be the user's own
RESULTS = ("test/accuracy", "test/macro_f1", "test/bleu", "test/perplexity", "top1", "frozen/fold_mean")


class Logger:
    """The writer of one run folder; `size` cuts its record back to what it held at the resumed checkpoint, without
    the lines in it, `damaged` of them, that cannot be read."""

    def __init__(self, folder: Path, step: int = 0, size: int = 0, charts: Mapping[str, Any] = CHARTS) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "metrics.jsonl"
        lines = path.read_bytes()[:size].splitlines(keepends=True) if path.exists() else []
        good = [line for line in lines if line.endswith(b"\n") and plots.read_point(line)]
        self.damaged = len(lines) - len(good)
        self.record = path.open("wb" if self.damaged else "ab")
        if self.damaged:
            self.record.writelines(good)
        self.record.truncate(min(size, self.size()))  # a power cut may have left less
        # TensorBoard drops the points that the cut off steps had already written.
        self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)
        self.writer.add_custom_scalars(charts)

    def scalars(self, values: Mapping[str, float], step: int, epoch: int, seconds: float) -> None:
        """Write one line of the record, and its points on the dashboard."""
        line = {"step": step, "epoch": epoch, "seconds": round(seconds, 3), **values}
        self.record.write(json.dumps(line).encode() + b"\n")
        self.record.flush()
        for tag, value in values.items():
            self.writer.add_scalar(tag, value, step)

    def size(self) -> int:
        """Bytes of the record so far, which are then safe on the disk."""
        self.record.flush()
        os.fsync(self.record.fileno())
        return os.fstat(self.record.fileno()).st_size

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """Save `figures/<name>.png` and `.svg`, and show it on the dashboard."""
        path = self.folder / "figures" / f"{name}.png"
        plots.save(figure, path)
        with Image.open(path) as picture:
            width, height = picture.size
        shown = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=path.read_bytes())
        value = Summary.Value(tag=f"figures/{name}", image=shown)
        self.writer.file_writer.add_summary(Summary(value=[value]), step)  # add_figure would draw it once more

    def text(self, name: str, markdown: str, step: int) -> None:
        """A text for the dashboard, in Markdown; bytes of a path in it that are not UTF-8 are written as they are."""
        self.writer.add_text(name, markdown.encode("utf-8", "backslashreplace").decode(), step)

    def table(self, name: str, head: Sequence[str], rows: Sequence[Sequence[str]], step: int) -> None:
        """A table for the dashboard's texts."""
        self.text(name, markdown_table(head, rows), step)

    def histograms(self, arrays: Mapping[str, torch.Tensor | np.ndarray], step: int) -> None:
        """The distribution of each array's values, under its tag."""
        for tag, values in arrays.items():
            self.writer.add_histogram(tag, values, step)

    def graph(self, net: nn.Module, example: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        """The net's graph, traced on one example."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the dashboard's graph needs the tracer that torch retires
            self.writer.add_graph(net, example)

    def pr_curves(self, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], step: int) -> None:
        """One precision-recall curve for each class; `probabilities` is (N, C)."""
        for number, name in enumerate(classes):
            self.writer.add_pr_curve(f"pr/{name}", labels == number, probabilities[:, number], step)

    def embedding(
        self, name: str, vectors: torch.Tensor, labels: Sequence[str], images: torch.Tensor | None, step: int
    ) -> None:
        """Vectors (N, D) for the projector, with labels and thumbnails (N, 3, H, W) in 0..1."""
        shutil.rmtree(self.folder / f"{step:05d}" / name, ignore_errors=True)  # of the same step, before a resume
        self.writer.add_embedding(vectors, metadata=list(labels), label_img=images, tag=name, global_step=step)

    def hparams(self, options: Mapping[str, Any], metrics: Mapping[str, float], step: int) -> None:
        """The results as points, and one row of the dashboard's table of options and results, if it has columns for
        them."""
        for tag, value in metrics.items():
            self.writer.add_scalar(tag if tag in RESULTS or tag.startswith("test/") else f"results/{tag}", value, step)
        if metrics.keys().isdisjoint(RESULTS):
            return
        row = {name: value for name, value in options.items() if isinstance(value, bool | int | float | str)}
        table, _, _ = hparams(COLUMNS, dict.fromkeys(RESULTS, 0.0), VALUES)
        _, begin, end = hparams(row, dict(metrics))
        for summary in (table, begin, end):
            self.writer.file_writer.add_summary(summary)

    def close(self) -> None:
        with suppress(OSError):  # a failure to write has been raised where it happened
            self.record.close()
            self.writer.close()


def hear_thread(failure: threading.ExceptHookArgs) -> None:
    """TensorBoard's writer thread raises its failures again at the next write: they need not be printed as well."""
    if type(failure.thread).__name__ != "_AsyncWriterThread":
        threading.__excepthook__(failure)


threading.excepthook = hear_thread
