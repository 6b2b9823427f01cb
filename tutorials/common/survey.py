"""The frame of a study that measures many things rather than train one: each is measured once and kept."""

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import data
from data import StudyError
from tutorials.common import checkpoint, summary
from tutorials.common.device import launch_command
from tutorials.common.options import Options, deciding
from tutorials.common.session import Session

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Survey(Session):
    """One run of many measurements: `measure` each, show `figure`, `finish` with the summary.

    A run that is interrupted, killed or unplugged goes on with `--resume`: what was measured is not measured again.
    """

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options)
        self.seconds = 0.0  # spent in measuring
        self.measured = 0

    def __enter__(self) -> Self:
        super().__enter__()
        if self.place.world_size > 1:
            error = StudyError(f"{self.name}: several processes would slow each other's times. Leave out NPROC.")
            self.__exit__(StudyError, error, None)
        checkpoint.write_atomic(self.folder / "identity.json", json.dumps(self.identity()).encode())
        return self

    def identity(self) -> dict[str, Any]:
        return json.loads(json.dumps(super().identity()))  # tuples as the lists that a file gives back

    def find_checkpoint(self) -> None:
        """Refuse to continue a run of other options; each measurement is found by `measure`."""
        path = self.folder / "identity.json"
        if path.exists():
            checkpoint.check_identity(path, json.loads(path.read_text()), self.identity())
        else:
            self.say(f"{self.folder}: nothing measured yet; starting from the beginning")

    def how_to_continue(self) -> str:
        kept = any((self.folder / "measured").glob("*.safetensors"))
        return f"To continue: {launch_command()} --resume".replace(" --resume --resume", " --resume") if kept else ""

    def load_data(self, name: str) -> Any:
        """The data set that `--data` chose."""
        return data.load(name, self.options.data, self.options.data_root)

    def measure(self, name: str, function: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What `function` returns (a tree of numbers, texts and tensors), kept in the run's folder: on resume from
        there. Its "metrics" are a point of the record."""
        path = self.folder / "measured" / f"{name}.safetensors"
        kept = self.read(path) if self.options.resume and path.exists() else None
        if kept is None:
            begun = time.perf_counter()
            kept = dict(function())
            kept["seconds"] = time.perf_counter() - begun
            checkpoint.save(path, kept)
            kept = checkpoint.load(path)
        else:
            self.say(f"{name}: measured before")
        self.measured, self.seconds = self.measured + 1, self.seconds + kept["seconds"]
        points = {f"results/{name}/{metric}": value for metric, value in kept.get("metrics", {}).items()}
        self.logger.scalars(points, self.measured, 1, self.seconds)
        return kept

    def read(self, path: Any) -> dict[str, Any] | None:
        """A measurement that was kept, or None when its file is damaged: it is measured again."""
        try:
            return checkpoint.load(path)
        except checkpoint.BrokenCheckpointError as error:
            self.say(f"{error}. It is measured again.")
            return None

    def figure(self, name: str, figure: "Figure") -> None:
        """Save a figure and show it on the dashboard."""
        self.logger.figure(name, figure, self.measured)

    def hparams(self, name: str, about: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """A row of its own on the dashboard's table of options and results."""
        from tutorials.common.logger import Logger

        row = Logger(self.folder / "rows" / name)
        row.hparams(deciding(self.options) | about, metrics, 0)
        row.close()

    def finish(self, metrics: Mapping[str, float], published: Mapping[str, float], chance: Mapping[str, float]) -> None:
        """Write `summary.json`, last and at once."""
        summary.write(self, metrics, published, chance, self.measured)
