"""`make study`: every tutorial and study on its tiny twin, each in its own process, and a table of what came out."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tutorials.common.console import print_table
from tutorials.common.session import FolderLock
from tutorials.common.stopping import one_line_errors

RUNS = Path("runs/study")


@dataclass(frozen=True)
class Study:
    """One row of the table; it has learnt when its headline metric is better than `learnt` (a floor, or a ceiling)."""

    target: str  # make's name for it
    module: str
    headline: str
    learnt: float


# Later tutorials and studies add their row here.
STUDIES = (
    Study("cifar10", "tutorials.cifar10", "test/accuracy", 0.5),
    Study("pretrained", "tutorials.pretrained", "best/top1", 0.6),
    Study("transfer", "tutorials.transfer_learning", "frozen/fold_mean", 0.65),
    Study("names", "tutorials.char_rnn", "test/accuracy", 0.8),
    Study("sentiment", "tutorials.text_sentiment", "test/accuracy", 0.8),
    Study("seq2seq", "tutorials.seq2seq", "test/bleu", 80),
    Study("translation", "tutorials.translation", "test/bleu", 80),
    Study("language-model", "tutorials.language_model", "test/perplexity", 5),
    Study("fully-connected", "from_scratch.studies.fully_connected", "3_layers/train_accuracy", 0.9),
    Study("initialization", "from_scratch.studies.initialization", "he/10_layers/train_accuracy", 0.17),
    Study("batchnorm", "from_scratch.studies.batchnorm", "deep/batch_norm/train_accuracy", 0.35),
    Study("dropout", "from_scratch.studies.dropout", "keep_1/train_accuracy", 0.8),
    Study("convnet", "from_scratch.studies.convnet", "deep/test_accuracy", 0.5),
    Study("captioning", "from_scratch.studies.captioning", "test/bleu", 50),
)


def main() -> int:
    lock = FolderLock(RUNS)
    with one_line_errors():
        lock.acquire()
    shutil.rmtree(RUNS, ignore_errors=True)
    rows, failed = [], 0
    for study in STUDIES:
        print(f"\n=== {study.target} ===", flush=True)
        folder, begun = RUNS / study.target, time.monotonic()
        command = [sys.executable, "-m", study.module, "--data", "tiny", "--run-dir", str(folder)]
        code = subprocess.run(command).returncode
        seconds = time.monotonic() - begun
        if code in (130, 143):
            return code
        summary = read(folder)
        value, chance = (summary.get(part, {}).get(study.headline) for part in ("metrics", "chance"))
        good = code == 0 and value is not None and (value > study.learnt) == (study.learnt > chance)
        failed += not good
        shown = f"{study.headline} {value:.3f}" if value is not None else f"failed, exit code {code}"
        rows.append((study.target, f"{seconds:.0f}", shown, f"{chance:.3f}" if chance is not None else "-",
                     "yes" if good else "NO", str(folder / "figures")))  # fmt: skip
    lock.release()
    print_table(("target", "seconds", "headline metric", "chance", "learnt", "figures"), rows)
    print(f"\nDashboards: make tensorboard.{f' {failed} of {len(rows)} did not learn or failed.' if failed else ''}")
    return 1 if failed else 0


def read(folder: Path) -> dict:
    """A run's summary, or nothing when it did not come to its end."""
    path = folder / "summary.json"
    return json.loads(path.read_text()) if path.exists() else {}


if __name__ == "__main__":
    sys.exit(main())
