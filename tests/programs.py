"""The tutorials and studies as tests run them, each in a process of its own that can be killed."""

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.processes import run_to_end
from tutorials.common.options import Options, parse


@dataclass(frozen=True)
class Program:
    """A tutorial or study: its module, and the options of two quick runs on its twin."""

    module: str
    study: tuple[str, ...] = ()  # of the study recipe's run that all tests share: it learns the twin
    small: tuple[str, ...] = ()  # of a run that is as short as one can be that is killed and resumed

    def main(self, *argv: str) -> None:
        """What `python -m` does, in this process."""
        sys.argv = [self.module.rpartition(".")[2], "--device", "cpu", *argv]
        importlib.import_module(self.module).main()

    def options(self, *argv: str) -> Options:
        """What the command line says, under the tutorial's recipes."""
        module = importlib.import_module(self.module)
        [kind] = [value for value in vars(module).values() if isinstance(value, type)
                  and issubclass(value, Options) and value.__module__ == self.module]  # fmt: skip
        return parse(kind, module.RECIPES, argv)

    def run(self, folder: Path, *argv: str) -> tuple[int, str]:
        """A run into `folder`: its exit code, and all that it printed. What it caches stays beside the folder."""
        root = () if "--data-root" in argv else ("--data-root", str(folder.parent / "data"))
        return run_to_end(self.main, folder, *root, *argv)

    def shared_study(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
        """The study recipe's run, made once for all tests and pytest's workers, and what it printed."""
        root = tmp_path_factory.getbasetemp()
        root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "study"
        root.mkdir(exist_ok=True)
        folder, output = root / self.module, root / f"{self.module}.txt"
        with FileLock(root / f"{self.module}.lock"):
            if not output.exists():
                code, printed = self.run(folder, *self.study)
                assert code == 0, printed
                output.write_text(printed)
        return folder, output.read_text()


FEW_FOLDS = ("--folds", "2", "--repeats", "1", "--epochs", "1", "--no-curve")
MEASURED = ("--repetitions", "1", "--batch-size", "10", "--robust-images", "3")
TRANSLATOR = ("--hidden-size", "48", "--epochs", "6", "--batch-size", "32", "--lr", "0.01", "--log-every", "10",
              "--dropout", "0.1", "--output-dropout", "0.1", "--word-dropout", "0")  # fmt: skip
TRANSFORMER = ("--d-model", "16", "--heads", "2", "--layers", "1", "--dim-feedforward", "16", "--log-every", "10")

CIFAR10 = Program("tutorials.cifar10", small=("--epochs", "1"))
CIFAR10_FAST = Program("tutorials.cifar10_fast", small=("--epochs", "2", "--width", "2"))
PRETRAINED = Program("tutorials.pretrained", MEASURED, MEASURED)
TRANSFER = Program("tutorials.transfer_learning", FEW_FOLDS, FEW_FOLDS)
NAMES = Program("tutorials.char_rnn", small=("--hidden-size", "8", "--epochs", "3"))
SENTIMENT = Program("tutorials.text_sentiment", small=("--epochs", "2", "--curve", "0"))
RECURRENT = ("--epochs", "2", "--hidden-size", "16", "--log-every", "5", "--teacher-forcing", "0.6")
SEQ2SEQ = Program("tutorials.seq2seq", TRANSLATOR, RECURRENT)
TRANSLATION = Program("tutorials.translation", ("--epochs", "3"), ("--epochs", "2", *TRANSFORMER))
LANGUAGE_MODEL = Program(
    "tutorials.language_model", small=("--d-model", "24", "--dim-feedforward", "32", "--epochs", "2")
)
ONE_EPOCH = ("--epochs", "1")
STUDIES = {
    name: Program(f"from_scratch.studies.{name}", ONE_EPOCH, ONE_EPOCH)
    for name in (
        "linear",
        "fully_connected",
        "initialization",
        "batchnorm",
        "dropout",
        "convnet",
        "captioning",
        "vision_transformer",
        "diffusion",
    )
}
