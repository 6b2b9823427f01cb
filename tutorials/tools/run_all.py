"""`make study`: every tutorial and study on its tiny twin, each in its own process, and a table of what came out."""

import importlib
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from tutorials.common.interrupts import Stopping, one_line_errors
from tutorials.common.lock import FolderLock
from tutorials.common.summary import read_json

RUNS = Path("runs/study")
AT_ONCE = min(2, os.cpu_count() or 1)  # rows, each on one thread


@dataclass(frozen=True)
class Program:
    """One row of the table; it has learned when its headline metric is better than `learned`, a floor or a ceiling."""

    target: str  # make's name for it
    module: str
    headline: str
    learned: float
    weight: float = 10  # about so many seconds of processor time (its log says them): the time left follows from these


# Later tutorials and studies add their row here.
PROGRAMS = (
    Program("cifar10", "tutorials.cifar10", "test/accuracy", 0.5, 10),
    Program("cifar10-fast", "tutorials.cifar10_fast", "test/accuracy", 0.5, 12),
    Program("pretrained", "tutorials.pretrained", "best/top1", 0.6, 15),
    Program("transfer", "tutorials.transfer_learning", "frozen/fold_mean", 0.65, 19),
    Program("names", "tutorials.char_rnn", "test/accuracy", 0.8, 11),
    Program("sentiment", "tutorials.text_sentiment", "test/accuracy", 0.8, 3),
    Program("seq2seq", "tutorials.seq2seq", "test/bleu", 80, 36),
    Program("translation", "tutorials.translation", "test/bleu", 80, 35),
    Program("language-model", "tutorials.language_model", "test/perplexity", 5, 6),
    Program("linear", "from_scratch.studies.linear", "features/two_layer_test_accuracy", 0.5, 20),
    Program("fully-connected", "from_scratch.studies.fully_connected", "3_layers/train_accuracy", 0.9, 16),
    Program("initialization", "from_scratch.studies.initialization", "he/10_layers/train_accuracy", 0.17, 16),
    Program("batchnorm", "from_scratch.studies.batchnorm", "deep/batch_norm/train_accuracy", 0.35, 19),
    Program("dropout", "from_scratch.studies.dropout", "keep_1/train_accuracy", 0.8, 11),
    Program("convnet", "from_scratch.studies.convnet", "deep/test_accuracy", 0.5, 30),
    Program("captioning", "from_scratch.studies.captioning", "test/bleu", 50, 32),
    Program("vision-transformer", "from_scratch.studies.vision_transformer", "two_epochs/test_accuracy", 0.4, 32),
    Program("diffusion", "from_scratch.studies.diffusion", "val/loss", 0.3, 30),
)
# Where processes can be forked, one imports all this once, and each row begins as its copy.
PRELOAD = ["tutorials.common.logger", "matplotlib.backends.backend_svg", "torchmetrics.functional.classification"]
WIDTHS = (18, 7, 36, 6, 6, 4, 7)


def main() -> int:
    lock, stopping = FolderLock(RUNS), Stopping()
    with one_line_errors():
        lock.acquire()
        shutil.rmtree(RUNS, ignore_errors=True)
        RUNS.mkdir(parents=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        context.set_forkserver_preload([*PRELOAD, *(program.module for program in PROGRAMS)])
    waiting, running, done = list(PROGRAMS), [], []
    stopping.listen()
    print(f"{len(waiting)} runs, {AT_ONCE} at a time, about {left(waiting, [], [])} min; output: {RUNS}/TARGET.log\n")
    print_row("target", "seconds", "headline metric", "chance", "learned", "left", "figures")
    print_row(*("-" * width for width in WIDTHS))
    try:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                running.append(Row(waiting.pop(0), context))
            wait([row.process.sentinel for row in running])
            for row in [row for row in running if row.process.exitcode is not None]:
                running.remove(row)
                row.seconds = time.monotonic() - row.begun
                done.append(row)
                row.tell(left(waiting, running, done))
    except KeyboardInterrupt:
        stop(running)
        return stopping.exit_code
    finally:
        stopping.ignore()
        lock.release()
    failed = sum(not row.good for row in done)
    print(f"\nDashboards: make tensorboard.{f' {failed} of {len(done)} did not learn or failed.' if failed else ''}")
    return 1 if failed else 0


class Row:
    """One study in a process of its own."""

    def __init__(self, program: Program, context: multiprocessing.context.BaseContext) -> None:
        self.program, self.folder, self.log = program, RUNS / program.target, RUNS / f"{program.target}.log"
        self.begun, self.seconds = time.monotonic(), 0.0
        self.process = context.Process(target=work, args=(program.module, self.folder, self.log), daemon=True)
        self.process.start()

    def tell(self, left: str) -> None:
        """Print the row of a study that has ended."""
        code, program, summary = self.process.exitcode, self.program, read_json(self.folder / "summary.json") or {}
        value, chance = (summary.get(part, {}).get(program.headline) for part in ("metrics", "chance"))
        self.good = code == 0 and value is not None and (value > program.learned) == (program.learned > chance)
        shown = f"{program.headline} {value:.3f}" if value is not None else f"failed, exit code {code}"
        where = self.folder / "figures" if self.good else f"see {self.log}"
        print_row(program.target, f"{self.seconds:.0f}", shown, f"{chance:.3f}" if chance is not None else "-",
                  "yes" if self.good else "NO", left, where)  # fmt: skip


def left(waiting: list[Program], running: list[Row], done: list[Row]) -> str:
    """Minutes and seconds until all rows are done, from their weights and the pace of those that are."""
    pace = sum(row.seconds for row in done) / sum(row.program.weight for row in done) if done else 1.0
    rest = [max(pace * row.program.weight - (time.monotonic() - row.begun), 0) for row in running]
    seconds = max([(sum(rest) + pace * sum(program.weight for program in waiting)) / AT_ONCE, *rest])
    return f"{round(seconds) // 60}:{round(seconds) % 60:02}"


def work(module: str, folder: Path, log: Path) -> None:
    """What a row's process does; Ctrl-C reaches it through its parent alone, and it does not outlive that."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    threading.Thread(target=follow_parent, daemon=True).start()
    for stream in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    main = sys.modules["__main__"] = importlib.import_module(module)  # whose name the command to continue has
    sys.argv = [module, "--data", "tiny", "--run-dir", str(folder)]
    main.main()
    print(f"{time.process_time():.1f} s of processor time")


def follow_parent() -> None:
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)


def stop(running: list[Row]) -> None:
    """Ask the rows' processes to save and to end, and pass on their last words."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for seconds in (10, 20):  # twice: a signal is lost where Python runs a callback of its own
        for row in running:
            row.process.terminate()
        for row in running:
            row.process.join(seconds)
    for row in running:
        row.process.kill()
        lines = row.log.read_text(encoding="utf-8", errors="replace").splitlines() if row.log.exists() else []
        print(f"{row.program.target}: {lines[-1] if lines else 'stopped'}", flush=True)


def print_row(*cells: object) -> None:
    cells = [str(cell).ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)]
    print("  ".join(cells).rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
